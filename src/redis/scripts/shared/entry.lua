-- Writing entries (part of append.lua and commit.lua). `g` is the group in hand: stream epoch seq channelEpoch instrument
-- market prefix maxLength, and what was added.
local function add(kind, venueSeq, keySeq, time, received, source, trace, quality, data)
  local stream, epoch, added, id, reply = g.stream, g.epoch, g.added, '*', nil
  -- Trimming costs as much as a third of an XADD: once a group, so that a stream is longer by at most one call.
  local maxLength = #added == 0 and g.maxLength or ''
  local seq = g.seq + 1
  local key = g.instrument .. ':' .. kind .. ':' .. g.prefix .. keySeq
  -- No reader's cursor may stand ahead of a new epoch.
  if floorMs and g.channelEpoch ~= epoch then id = floorMs .. '-*' end
  repeat
    local given = id
    if maxLength == '' then
      reply = command('XADD', stream, id, 'v', '1', 'type', kind, 'market', g.market, 'instrument', g.instrument,
        'epoch', epoch, 'seq', format('%.0f', seq), 'key', key, 'venueSeq', venueSeq, 'venueTime', time,
        'receivedTime', received, 'source', source, 'trace', trace, 'quality', quality, 'data', data)
    else
      reply = command('XADD', stream, 'MAXLEN', '~', maxLength, id, 'v', '1', 'type', kind, 'market', g.market, 'instrument', g.instrument,
        'epoch', epoch, 'seq', format('%.0f', seq), 'key', key, 'venueSeq', venueSeq, 'venueTime', time,
        'receivedTime', received, 'source', source, 'trace', trace, 'quality', quality, 'data', data)
    end
    -- Another writer may have been further than our floor: then the stream's own order will do.
    id = '*'
  until type(reply) == 'string' or given == '*'
  if type(reply) ~= 'string' then error(reply.err, 0) end
  g.channelEpoch = epoch
  g.seq = seq
  added[#added + 1] = reply
end

local function must(...)
  local reply = command(...)
  if type(reply) == 'table' and reply.err then error(reply.err, 0) end
  return reply
end

local function beginEpoch()
  g.epoch = format('%.0f', math.max(nowUs, (tonumber(g.epoch) or 0) + 1))
  g.epochBegun, g.dirty = true, true
end
