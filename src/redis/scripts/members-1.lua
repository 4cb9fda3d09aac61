#!lua flags=no-writes
--[[
members: the list of a role's members, for those who are none; nothing is written, so it is shown also where nothing can be.

KEYS[1] members hash, as beat-1.lua has it.
ARGV    ms after which a silent member is forgotten.
Returns a flat list: for every member id, incarnation, startedUs, age us, spared, state, facts.
]]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local isOtherRun = redis.call('HGET', KEYS[1], '#run') ~= run

local reply = {}
local flat = redis.call('HGETALL', KEYS[1])
for at = 1, #flat, 2 do
  local inc, since, seen, spared, word, said = string.match(flat[at + 1], '^(%S+) (%d+) (%d+) ([01]) %d+ (%S+) (.*)$')
  if inc then
    local age = isOtherRun and 0 or math.max(0, now - seen)
    if age <= ARGV[1] * 1000 then
      if isOtherRun then spared = '1' end
      for _, field in ipairs({ flat[at], inc, since, string.format('%.0f', age), spared, word, said }) do
        reply[#reply + 1] = field
      end
    end
  end
end
return reply
