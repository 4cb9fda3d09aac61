#!lua flags=allow-oom
--[[
ops: appends an entry to the ops stream, the newest kept; also at maxmemory, which is what an operator has to be told of.

KEYS    ops stream.
ARGV    entries kept, then the entry's fields and values.
]]
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, 2))
return 1
