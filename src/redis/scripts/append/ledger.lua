-- The gap ledger (part of append.lua). A member tells one gap, or a part of it that was closed in one way. Edges are ids,
-- written as strings, or receive times, written as numbers. What is open is also kept in the state, field open:<CHANNEL>, so
-- that a late event finds its gap without searching the ledger; it is written once a group, by `writeLedger`.

local LEDGER_MAX = 10000
local LEDGER_SCAN = 64
local NEIGHBOURS_MAX = 8
local OPEN_RANGES_MAX = 1000

local function edge(number)
  if g.channel == 'TRADE' or g.channel == 'ORDERBOOK' then return '"' .. text(number) .. '"' end
  return text(number)
end

local function member(range)
  return '{"from":' .. edge(range.from) .. ',"to":' .. edge(range.to) .. ',"cause":"' .. range.cause .. '","openedAt":'
    .. range.openedAt .. ',"filledAt":' .. (range.filledAt or 'null') .. ',"how":' .. (range.how and '"' .. range.how .. '"' or 'null') .. '}'
end

-- No two gaps of a call are opened at the same microsecond, so that openedAt tells gaps apart.
local openings = 0
local function openingTime()
  openings = openings + 1
  return text(nowUs + openings - 1)
end

local function openRanges()
  if g.open then return g.open end
  g.open = {}
  if g.openCount > 0 then
    for from, to, cause, openedAt in gmatch(must('HGET', g.state, 'open:' .. g.channel) or '', '(%d+) (%d+) (%S+) (%d+);') do
      g.open[#g.open + 1] = { from = tonumber(from), to = tonumber(to), cause = cause, openedAt = openedAt, stored = true }
    end
  end
  return g.open
end

local function closePiece(range, from, to, how, filledAt)
  local piece = g.closedPieces[#g.closedPieces]
  if piece and g.channel == 'TRADE' and piece.to + 1 == from and piece.openedAt == range.openedAt and piece.cause == range.cause and piece.how == how then
    piece.to = to
  else
    g.closedPieces[#g.closedPieces + 1] =
      { from = from, to = to, cause = range.cause, openedAt = range.openedAt, how = how, filledAt = filledAt }
  end
end

-- New ranges always lie above the ones before, so the list stays sorted.
local function openRange(from, to, cause)
  local range = { from = from, to = to, cause = cause, openedAt = openingTime() }
  if g.openCount >= OPEN_RANGES_MAX then
    g.overBound = g.overBound + 1
    return closePiece(range, from, to, 'over-bound', nil)
  end
  local ranges = openRanges()
  ranges[#ranges + 1] = range
  g.openCount, g.openChanged = #ranges, true
end

-- Closes what is open within from..to; answers whether anything was.
local function close(from, to, how, filledAt)
  if g.openCount == 0 then return false end
  local ranges, touched = openRanges(), false
  for index = 1, #ranges do
    if ranges[index].from > to then break end
    if ranges[index].to >= from then touched = true break end
  end
  if not touched then return false end
  local kept = {}
  for index = 1, #ranges do
    local range = ranges[index]
    if range.to < from or range.from > to then
      kept[#kept + 1] = range
    else
      if range.stored then g.removed[#g.removed + 1] = member(range) end
      if range.from < from then
        kept[#kept + 1] = { from = range.from, to = from - 1, cause = range.cause, openedAt = range.openedAt }
      end
      closePiece(range, max(range.from, from), range.to < to and range.to or to, how, filledAt)
      if range.to > to then
        kept[#kept + 1] = { from = to + 1, to = range.to, cause = range.cause, openedAt = range.openedAt }
      end
    end
  end
  g.open, g.openCount, g.openChanged = kept, #kept, true
  return true
end

-- A book has one hole at a time, and it ends where the book goes on.
local function closeBookGap(to, how)
  local range = openRanges()[1]
  if not range then return end
  if range.stored then g.removed[#g.removed + 1] = member(range) end
  closePiece(range, range.from, to, how, nowText)
  g.open, g.openCount, g.openChanged = {}, 0, true
end

-- Takes a closed neighbour of the same gap into the piece, so that filling a gap in many calls leaves one member. Ranges of
-- an older numbering can lie between.
local function absorb(piece, low, high)
  for _, found in ipairs(must('ZREVRANGEBYSCORE', g.gaps, high, low, 'LIMIT', 0, NEIGHBOURS_MAX)) do
    local other = cjson.decode(found)
    if other.how == piece.how and other.cause == piece.cause and text(other.openedAt) == piece.openedAt then
      local from, to = tonumber(other.from), tonumber(other.to)
      if to + 1 == piece.from then
        piece.from = from
        return must('ZREM', g.gaps, found)
      elseif piece.to + 1 == from then
        piece.to = to
        return must('ZREM', g.gaps, found)
      end
    end
  end
end

-- At its bound the ledger's oldest members are looked at: closed ones that touch become one, else the oldest closed one goes.
local function makeRoom()
  local oldest, before, beforeText = nil, nil, nil
  for start = 0, OPEN_RANGES_MAX, LEDGER_SCAN do
    for _, found in ipairs(must('ZRANGE', g.gaps, start, start + LEDGER_SCAN - 1)) do
      local range = cjson.decode(found)
      range.from, range.to = tonumber(range.from), tonumber(range.to)
      if range.how == cjson.null then
        before = nil
      else
        if before and before.to + 1 >= range.from and before.to < range.to and before.how == range.how then
          must('ZREM', g.gaps, beforeText, found)
          range.from, range.cause = before.from, before.cause
          range.openedAt, range.filledAt = text(before.openedAt), range.filledAt ~= cjson.null and text(range.filledAt) or nil
          must('ZADD', g.gaps, text(range.from), member(range))
          return
        end
        oldest = oldest or found
        before, beforeText = range, found
      end
    end
    if oldest then break end
  end
  if oldest then
    must('ZREM', g.gaps, oldest)
    g.dropped = g.dropped + 1
  end
end

local function writeLedger()
  for index = 1, #g.removed do must('ZREM', g.gaps, g.removed[index]) end
  for index = 1, #g.closedPieces do
    local piece = g.closedPieces[index]
    if g.channel == 'TRADE' then
      absorb(piece, '-inf', text(piece.from - 1))
      absorb(piece, text(piece.to + 1), text(piece.to + 1))
    end
    must('ZADD', g.gaps, text(piece.from), member(piece))
  end
  if g.openChanged then
    local packed = {}
    for index = 1, #g.open do
      local range = g.open[index]
      if not range.stored then must('ZADD', g.gaps, text(range.from), member(range)) end
      packed[index] = text(range.from) .. ' ' .. text(range.to) .. ' ' .. range.cause .. ' ' .. range.openedAt .. ';'
    end
    g.more[#g.more + 1] = 'open:' .. g.channel
    g.more[#g.more + 1] = concat(packed)
  end
  for _ = LEDGER_MAX + 1, must('ZCARD', g.gaps) do makeRoom() end
end
