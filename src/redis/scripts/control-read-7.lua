#!lua flags=no-writes
--[[
control-read: the whole dispatch table at one moment.

KEYS    table hash; its parts routes, subscriptions, paused, channels, marks; changes stream.
Returns false when there is none; else { version, lineage, appliedId, entry id of the command that made the version, id of the
        last change entry ('0-0' if none), and for each part the flat list of its fields and values }.
]]
local head = redis.call('HMGET', KEYS[1], 'version', 'lineage', 'appliedId', 'madeBy')
if not head[1] then return false end
local last = redis.call('XREVRANGE', KEYS[7], '+', '-', 'COUNT', 1)[1]
local reply = { head[1], head[2], head[3], head[4], last and last[1] or '0-0' }
for part = 2, 6 do reply[part + 4] = redis.call('HGETALL', KEYS[part]) end
return reply
