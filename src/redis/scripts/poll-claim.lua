-- Grants a due time of a poll once. KEYS: claims (hash). ARGV: poll, due time in ms.
-- Answers granted (1 or 0), the last one granted and the last one done before, '' where there is none.
local claimed = redis.call('HGET', KEYS[1], ARGV[1])
local done = redis.call('HGET', KEYS[1], ARGV[1] .. '|done')
if claimed and tonumber(claimed) >= tonumber(ARGV[2]) then return {0, claimed, done or ''} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return {1, claimed or '', done or ''}
