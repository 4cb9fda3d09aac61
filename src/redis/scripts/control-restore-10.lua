#!lua
--[[
control-restore: writes the dispatch table where there is none, or where what stands there is worth less.

A table that was just written settles for a while: no command is applied to it, and a copy that some process held takes the
place of a mere seed, a newer copy that of an older one. A copy also takes the place of an older version of the same lineage:
a fail-over went back behind what was applied.

KEYS    table hash; its parts routes, subscriptions, paused, channels, marks; index of subscriptions; control stream;
        changes stream; audit stream.
ARGV    origin ('seed' or 'copy'), lineage, version, appliedId, now us, ms to settle, group, who writes, entries kept of audit and
        changes (2), then for each part the number of its strings, and its fields and values.
Returns 'written' or 'kept'.
]]
local dispatch, index, stream, changes, audit = KEYS[1], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local origin, lineage, version, applied, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local there = redis.call('HMGET', dispatch, 'version', 'lineage', 'settleUntil', 'origin')
if there[1] then
  local settles = (tonumber(there[3]) or 0) > now
  local newer = tonumber(version) > tonumber(there[1])
  local better = origin == 'copy' and ((there[2] == lineage and newer) or (settles and (there[4] == 'seed' and there[2] ~= lineage or newer)))
  if not better then return 'kept' end
end

local AT_ONCE = 1000
for part = 2, 6 do redis.call('DEL', KEYS[part]) end
redis.call('DEL', index)
local at = 11
for part = 2, 6 do
  local strings = tonumber(ARGV[at])
  local from, to = at + 1, at + strings
  while from <= to do
    local last = math.min(to, from + AT_ONCE - 1)
    redis.call('HSET', KEYS[part], unpack(ARGV, from, last))
    if part == 3 then
      local members = {}
      for field = from, last, 2 do
        members[#members + 1] = 0
        members[#members + 1] = ARGV[field]
      end
      redis.call('ZADD', index, unpack(members))
    end
    from = last + 1
  end
  at = to + 1
end
redis.call('HSET', dispatch, 'version', version, 'lineage', lineage, 'appliedId', applied, 'madeBy', applied, 'origin', origin,
  'settleUntil', string.format('%.0f', now + tonumber(ARGV[6]) * 1000), 'writtenAt', ARGV[5])
-- Makes the stream where it is missing, so that its ids go on above what was applied.
redis.pcall('XGROUP', 'CREATE', stream, ARGV[7], '0', 'MKSTREAM')
local last = redis.call('XINFO', 'STREAM', stream)
for field = 1, #last, 2 do
  if last[field] == 'last-generated-id' then
    local ms, seq = string.match(last[field + 1], '^(%d+)-(%d+)$')
    local appliedMs, appliedSeq = string.match(applied, '^(%d+)-(%d+)$')
    ms, seq, appliedMs, appliedSeq = tonumber(ms), tonumber(seq), tonumber(appliedMs), tonumber(appliedSeq)
    if ms < appliedMs or (ms == appliedMs and seq < appliedSeq) then redis.call('XSETID', stream, applied) end
  end
end
redis.call('XADD', changes, 'MAXLEN', '~', ARGV[10], '*', 'version', version, 'lineage', lineage, 'appliedId', applied, 'changes', '')
redis.call('XADD', audit, 'MAXLEN', '~', ARGV[9], '*', 'v', '1', 'type', 'CONTROL.RESTORED', 'issuer', ARGV[8], 'origin', origin,
  'version', version, 'lineage', lineage, 'time', ARGV[5])
return 'written'
