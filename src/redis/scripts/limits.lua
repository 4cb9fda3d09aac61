#!lua flags=allow-oom
-- The one purse for a venue's REST limits (DESIGN 2, P10).
-- KEYS: purse (hash), connects (zset). ARGV: operation, then its arguments. Times in ms of Redis's clock.
local MINUTE = 60000
-- A new minute begins this much later here than at the venue, because the two clocks never agree wholly.
local GUARD = 100
-- While nothing is known of the minute somebody's answer is awaited.
local PROBE_WAIT = 50
-- The longest ban is three days.
local KEEP = 345600000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local operation = ARGV[1]
local purse = redis.call('HMGET', KEYS[1], 'minute', 'spent', 'flight', 'known', 'limit', 'offset', 'banned', 'held', 'connects', 'window')
local minute, spent, flight = tonumber(purse[1]), tonumber(purse[2]) or 0, tonumber(purse[3]) or 0
local known, limit, offset = purse[4] == '1', tonumber(purse[5]) or tonumber(ARGV[2]), tonumber(purse[6]) or 0
local banned, held = tonumber(purse[7]) or 0, tonumber(purse[8]) or 0

local venue_now = now + offset - GUARD
local present = math.floor(venue_now / MINUTE)
local until_next = (present + 1) * MINUTE - venue_now

if minute == nil then
  -- Who spent what before is not known: this purse is new, or Redis lost it.
  minute, spent, flight, known = present, 0, 0, false
elseif present > minute then
  minute, spent, flight, known = present, 0, 0, true
elseif present < minute - 1 then
  -- The venue's clock was thought to be far ahead. What is spent stays spent till this minute ends, and not till that one comes.
  minute = present
  redis.call('HSET', KEYS[1], 'minute', string.format('%.0f', minute))
end

local text = function(number) return string.format('%.0f', number) end
local note = function(...)
  redis.call('HSET', KEYS[1], ...)
  redis.call('PEXPIRE', KEYS[1], text(math.max(KEEP, banned - now + MINUTE, held - now + MINUTE)))
end
local write = function(...)
  note('minute', text(minute), 'spent', text(spent), 'flight', text(flight), 'known', known and '1' or '0', ...)
end

if operation == 'take' then
  if banned > now then return {0, text(minute), text(banned - now), text(banned - now), text(spent)} end
  local granted, wait = 0, 0
  for index = 3, #ARGV, 2 do
    local weight, share = tonumber(ARGV[index]), tonumber(ARGV[index + 1])
    local fits
    if not known then
      fits = flight == 0
      if not fits then wait = PROBE_WAIT end
    else
      -- One that is heavier than all there is gets a fresh minute for itself.
      fits = spent == 0 or spent + weight <= limit * share
      if not fits then wait = until_next end
    end
    if not fits then break end
    granted, spent, flight = granted + 1, spent + weight, flight + weight
  end
  if granted > 0 then write() end
  return {granted, text(minute), text(wait), 0, text(spent)}
end

if operation == 'settle' then
  local charged, weight, status, used, quiet = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
  if charged == minute then
    flight = math.max(0, flight - weight)
    if status ~= '' then
      known = true
      -- What is still under way may not be in the venue's count yet.
      if used then spent = math.max(spent, used + flight) end
    end
  end
  if quiet and now + quiet > banned then banned = now + quiet end
  write('banned', text(banned))
  return 1
end

if operation == 'learn' then
  if ARGV[3] ~= '' then note('limit', ARGV[3]) end
  if ARGV[4] ~= '' then note('offset', text(tonumber(ARGV[4]) - now)) end
  return 1
end

if operation == 'connect' then
  if held > now then return text(held - now) end
  local max, window = tonumber(ARGV[3]), tonumber(ARGV[4])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', text(now - window))
  if redis.call('ZCARD', KEYS[2]) < max then
    redis.call('ZADD', KEYS[2], text(now), ARGV[5])
    redis.call('PEXPIRE', KEYS[2], text(window))
    note('connects', ARGV[3], 'window', ARGV[4])
    return 0
  end
  return text(tonumber(redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]) + window - now)
end

if operation == 'hold' then
  held = math.max(held, now + tonumber(ARGV[3]))
  note('held', text(held))
  return 1
end

-- read
local since = now - (tonumber(purse[10]) or 0)
return {
  text(limit), text(spent), text(flight), known and 1 or 0, text(until_next), text(math.max(0, banned - now)),
  redis.call('ZCOUNT', KEYS[2], '(' .. text(since), '+inf'), tonumber(purse[9]) or 0, text(math.max(0, held - now))
}
