#!lua flags=no-writes
--[[
readRun: which Redis process answers for a key.

KEYS[1] any key of the partition.
Returns run_id.
]]
return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
