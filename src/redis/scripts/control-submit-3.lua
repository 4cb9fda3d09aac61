#!lua flags=allow-oom
--[[
control-submit: puts a command on the control stream, once for its id.

KEYS    control stream, answer hash of the command's id, table hash.
ARGV    fingerprint of the command's content, how long its id is remembered in ms, commands that may wait, then the entry's fields
        and values.
Returns { 'accepted' or 'repeated', entry id }, { 'different' }, or { 'full', commands waiting }.
]]
local stream, answer, dispatch = KEYS[1], KEYS[2], KEYS[3]
local known = redis.call('HMGET', answer, 'entry', 'print')
if known[1] then
  if known[2] == ARGV[1] then return { 'repeated', known[1] } end
  return { 'different' }
end
local applied = redis.call('HGET', dispatch, 'appliedId') or '0-0'
local max = tonumber(ARGV[3])
local waiting = #redis.call('XRANGE', stream, '(' .. applied, '+', 'COUNT', max)
if waiting >= max then return { 'full', tostring(waiting) } end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local id = redis.call('XADD', stream, '*', unpack(ARGV, 4))
local ms, seq = parts(id)
local appliedMs, appliedSeq = parts(applied)
if ms < appliedMs or (ms == appliedMs and seq <= appliedSeq) then
  -- The clock went back behind what was applied, and the stream was lost: the order goes on from there.
  redis.call('XDEL', stream, id)
  id = redis.call('XADD', stream, string.format('%.0f-%.0f', appliedMs, appliedSeq + 1), unpack(ARGV, 4))
end
redis.call('HSET', answer, 'entry', id, 'print', ARGV[1])
redis.call('PEXPIRE', answer, ARGV[2])
return { 'accepted', id }
