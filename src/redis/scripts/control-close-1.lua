#!lua flags=allow-oom
--[[
control-close: closes or opens channels of an instrument for the append script.

Closing raises the table version in the channel's state, so that whatever was offered under an older one is refused from now
on. Opening changes nothing; it answers whether events of the version have entered yet.

KEYS    state hash of the instrument (as append.lua has it).
ARGV    for each channel: its name, table version, 'close' or 'open'.
Returns for each channel 'closed'; or 'fresh' (stopped before, and nothing has come under this version yet), 'flowing' (something
        has), 'empty' (nothing ever has).
]]
local reply = {}
for at = 1, #ARGV, 3 do
  local channel, version, word = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local packed = redis.call('HGET', KEYS[1], channel)
  -- The sixth of thirteen words, see `pack` in append.lua.
  local before, known, after
  if packed then before, known, after = string.match(packed, '^(%S* %S* %S* %S* %S* )(%S*)( .*)$') end
  if word == 'close' then
    if not packed then
      redis.call('HSET', KEYS[1], channel, '0    0 ' .. version .. '   0 0   ')
    elseif (tonumber(known) or 0) < tonumber(version) then
      redis.call('HSET', KEYS[1], channel, before .. version .. after)
    end
    reply[#reply + 1] = 'closed'
  elseif not packed or string.match(packed, '^0 ') then
    reply[#reply + 1] = 'empty'
  else
    reply[#reply + 1] = (tonumber(known) or 0) < tonumber(version) and 'fresh' or 'flowing'
  end
end
return reply
