#!lua flags=allow-oom
--[[
openKeyspace: creates the keyspace's record, or compares it with what this process expects.

KEYS[1] meta hash.
ARGV    contract version, partitions, then pairs of venue and environment.
Returns a flat list of field, value found in the record: only fields that differ. An empty list: all agree. A venue that the
        record does not know yet is added, unless something differs; then nothing is written.
createdAt is Redis's clock, us, and compared with nothing.
]]
local meta = KEYS[1]
local wanted = { { 'v', ARGV[1] }, { 'partitions', ARGV[2] } }
for index = 3, #ARGV, 2 do
  wanted[#wanted + 1] = { 'environment:' .. ARGV[index], ARGV[index + 1] }
end

local differing, missing = {}, {}
for _, pair in ipairs(wanted) do
  local found = redis.call('HGET', meta, pair[1])
  if not found then
    missing[#missing + 1] = pair[1]
    missing[#missing + 1] = pair[2]
  elseif found ~= pair[2] then
    differing[#differing + 1] = pair[1]
    differing[#differing + 1] = found
  end
end

if #differing == 0 and #missing > 0 then
  local clock = redis.call('TIME')
  redis.call('HSET', meta, unpack(missing))
  redis.call('HSETNX', meta, 'createdAt', string.format('%.0f', clock[1] * 1000000 + clock[2]))
end
return differing
