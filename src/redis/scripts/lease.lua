#!lua flags=allow-oom
-- A lease for one owner at a time. KEYS: lease. ARGV: owner, milliseconds (0: let go). Answers 1 if it is, or was, the owner's.
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
