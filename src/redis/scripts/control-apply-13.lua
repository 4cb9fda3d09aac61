#!lua flags=allow-oom
--[[
control-apply: applies the command that stands on the control stream behind the last one applied; refuses any other.

Table, version, answer, audit entry, the change told to followers, dead letter and acknowledgement move together. What the
command makes of the table was decided by the caller for one version of it; another version is answered `stale`.

KEYS    table hash; its parts routes, subscriptions, paused, channels, marks (hashes); index of subscriptions (zset); control
        stream, answers stream, audit stream, changes stream, dead letters stream; answer hash of the command's id.
ARGV    group, entry id, lineage and version the verdict was made for, now us, how long the id is remembered in ms, command id,
        '1' if the table changes, the change entry's JSON, reason of the dead letter or '', fingerprint or '',
        entries kept of answers, audit, changes and dead letters (4),
        number of changes; for each: number of its part (1 routes .. 5 marks), field, value JSON or '' to remove;
        number of strings of the answer, its fields and values; then the audit entry's fields and values.
Returns { 'applied' }, { 'repeated' }, { 'done' }, { 'stale' }, { 'gone' }, { 'settling', ms left },
        { 'next', entry id, field, value, ... }, or { 'unusable', key } when a key is of another type; nothing was written then.

Lua in Redis is not rolled back, so everything that can fail is looked at before the first write.
]]
local dispatch, index, stream, acks, audit, changes, dead, answer =
  KEYS[1], KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]
local group, entry = ARGV[1], ARGV[2]

local types = { 'hash', 'hash', 'hash', 'hash', 'hash', 'hash', 'zset', 'stream', 'stream', 'stream', 'stream', 'stream', 'hash' }
for number, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= types[number] then return { 'unusable', key } end
end

local head = redis.call('HMGET', dispatch, 'version', 'lineage', 'appliedId', 'settleUntil')
if not head[1] then return { 'gone' } end
local now = tonumber(ARGV[5])
local leftUs = (tonumber(head[4]) or 0) - now
if leftUs > 0 then return { 'settling', tostring(math.ceil(leftUs / 1000)) } end

local function parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local ms, seq = parts(entry)
local appliedMs, appliedSeq = parts(head[3])
if ms < appliedMs or (ms == appliedMs and seq <= appliedSeq) then
  redis.pcall('XACK', stream, group, entry)
  return { 'done' }
end
local following = redis.call('XRANGE', stream, '(' .. head[3], '+', 'COUNT', 1)[1]
if not following then
  redis.pcall('XACK', stream, group, entry)
  return { 'done' }
end
if following[1] ~= entry then return { 'next', following[1], unpack(following[2]) } end
if head[2] ~= ARGV[3] or head[1] ~= ARGV[4] then return { 'stale' } end

-- The group may be missing where the stream was written anew; acknowledging is all it is needed for here.
local function pass()
  redis.call('HSET', dispatch, 'appliedId', entry)
  redis.pcall('XACK', stream, group, entry)
  redis.call('XTRIM', stream, 'MINID', entry)
end

if redis.call('HGET', answer, 'status') then
  pass()
  return { 'repeated' }
end

local function log(key, max, ...)
  redis.call('XADD', key, 'MAXLEN', '~', max, '*', ...)
end
local at = 17
for _ = 1, tonumber(ARGV[16]) do
  local key, field, value = KEYS[1 + tonumber(ARGV[at])], ARGV[at + 1], ARGV[at + 2]
  if value == '' then redis.call('HDEL', key, field) else redis.call('HSET', key, field, value) end
  if ARGV[at] == '2' then
    if value == '' then redis.call('ZREM', index, field) else redis.call('ZADD', index, 0, field) end
  end
  at = at + 3
end
if ARGV[8] == '1' then
  local version = string.format('%.0f', tonumber(head[1]) + 1)
  redis.call('HSET', dispatch, 'version', version, 'madeBy', entry)
  log(changes, ARGV[14], 'version', version, 'lineage', head[2], 'appliedId', entry, 'changes', ARGV[9])
end
local strings = tonumber(ARGV[at])
redis.call('HSET', answer, 'entry', entry, 'print', ARGV[11], unpack(ARGV, at + 1, at + strings))
redis.call('PEXPIRE', answer, ARGV[6])
log(acks, ARGV[12], 'commandId', ARGV[7], unpack(ARGV, at + 1, at + strings))
log(audit, ARGV[13], unpack(ARGV, at + strings + 1))
if ARGV[10] ~= '' then
  log(dead, ARGV[15], 'reason', ARGV[10], 'entry', entry, 'time', ARGV[5], unpack(following[2]))
end
pass()
return { 'applied' }
