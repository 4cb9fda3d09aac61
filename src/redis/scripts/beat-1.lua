#!lua flags=allow-oom
--[[
beat: one beat of a member of a role, answered with the list of all members. Redis's own clock decides. (members-1.lua shows the
list to others.)

KEYS[1] members hash: member id -> `incarnation startedUs seenUs spared number state facts`; `#run` -> run_id of the Redis process that wrote last;
        `#heard` -> us of the last beat of anybody, those who stand by included.
ARGV    id, incarnation, startedUs ('' with the first beat), state (joining, active, leaving; left takes the
        member off the list), facts (one text), expiry ms, ms after which a silent member is forgotten, bound of the list, ms of
        silence of everybody after which nobody counts as silent, number of the beat within this life.
Returns a flat list: standing (member, superseded, full), startedUs, run_id, then for every member id, incarnation, startedUs,
        age us, spared, state, facts. Spared (1, else 0) is who counts as heard and has not beaten since.
A member that another Redis process heard last counts as just heard: its clock is another one, and nobody could beat meanwhile.
So does every member where this is the first beat of anybody for that long: Redis could not be reached, stood still, or its clock
was set ahead, and nobody who comes back first may take the others for dead, not even one that is new. Who was gone before stays gone.
A beat that comes behind a newer one of its life (its connection stood still, and the process had made another one) changes nothing.
Of two incarnations with one id that both beat the one that started later stays, the other is answered `superseded`.
]]
local members, id, incarnation, started, state, facts = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local expiryUs, forgetUs, membersMax, outageUs = ARGV[6] * 1000, ARGV[7] * 1000, tonumber(ARGV[8]), ARGV[9] * 1000

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local function text(number) return string.format('%.0f', number) end

local found = {}
local flat = redis.call('HGETALL', members)
local before = redis.call('HMGET', members, '#run', '#heard')
local isAnew = before[1] ~= run
for at = 1, #flat, 2 do
  local key = flat[at]
  if key ~= '#run' and key ~= '#heard' then
    local inc, since, seen, spared, nth, word, said = string.match(flat[at + 1], '^(%S+) (%d+) (%d+) ([01]) (%d+) (%S+) (.*)$')
    if inc then
      found[#found + 1] = { key, inc, since, tonumber(seen), spared, word, said, nth }
    else
      redis.call('HDEL', members, key)
    end
  end
end
local heard = tonumber(before[2] or now)
if now - heard > outageUs then isAnew = true end
redis.call('HSET', members, '#run', run, '#heard', text(now))

local list, count, mine = {}, 0, nil
for _, member in ipairs(found) do
  local key, inc, since, seen, spared, word, said, nth = unpack(member)
  if (isAnew and heard - seen < expiryUs) or seen > now then
    seen, spared = now, '1'
    redis.call('HSET', members, key, table.concat({ inc, since, text(seen), spared, nth, word, said }, ' '))
  end
  member[4], member[5] = now - seen, spared
  if key == id then
    mine = member
  elseif member[4] <= forgetUs then
    list[#list + 1] = member
    count = count + 1
  else
    redis.call('HDEL', members, key)
  end
end

local standing = 'member'
if started == '' then
  started = text(math.max(now, mine and mine[3] + 1 or 0))
end
if mine and mine[2] ~= incarnation and mine[4] < expiryUs and tonumber(mine[3]) > tonumber(started) then
  standing = 'superseded'
  list[#list + 1] = mine
elseif mine and mine[2] == incarnation and tonumber(mine[8]) > tonumber(ARGV[10]) then
  list[#list + 1] = mine
elseif state == 'left' then
  redis.call('HDEL', members, id)
elseif not mine and count >= membersMax then
  standing = 'full'
else
  redis.call('HSET', members, id, table.concat({ incarnation, started, text(now), '0', ARGV[10], state, facts }, ' '))
  list[#list + 1] = { id, incarnation, started, 0, '0', state, facts }
end

local reply = { standing, started, run }
for _, member in ipairs(list) do
  member[4] = text(member[4])
  for field = 1, 7 do reply[#reply + 1] = member[field] end
end
return reply
