#!lua flags=allow-oom
--[[
control-report: writes what a worker says of an instrument's native topics.

KEYS    reports hash of the instrument.
ARGV    fields kept at most, then field (`topic@worker`), time us, report JSON for each.
Returns the number of fields. At the bound the reports that are oldest go: they are of workers that are gone.
]]
local key, max = KEYS[1], tonumber(ARGV[1])
for at = 2, #ARGV, 3 do redis.call('HSET', key, ARGV[at], ARGV[at + 1] .. ' ' .. ARGV[at + 2]) end
local count = redis.call('HLEN', key)
if count <= max then return count end
local all = redis.call('HGETALL', key)
local ages = {}
for at = 1, #all, 2 do ages[#ages + 1] = { all[at], tonumber(string.match(all[at + 1], '^%d+')) or 0 } end
table.sort(ages, function(a, b) return a[2] < b[2] end)
for at = 1, count - max do redis.call('HDEL', key, ages[at][1]) end
return max
