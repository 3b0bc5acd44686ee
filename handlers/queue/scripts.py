"""What Redis does in one step, in Lua. Every key a script touches is handed to it.

The clock is Redis's own, so that machines whose clocks differ agree on what is due.
"""

from __future__ import annotations

# The epoch names the Redis process too (its run id). One that restarts from its own
# file, or a replica that takes over, has the key and may still lack the last puts.
# 15 of its 40 digits: an epoch has to fit into 32 characters of the database.
_EPOCH = """
local function run_id()
  return string.sub(string.match(redis.call('INFO', 'server'), 'run_id:(%w+)'), 1, 15)
end
local function new_epoch(key, fresh)
  local made = run_id() .. '-' .. fresh
  redis.call('SET', key, made)
  return made
end
local function epoch(key, fresh)
  return redis.call('GET', key) or new_epoch(key, fresh)
end
"""

_NOW = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""

# One element is enough: whoever it wakes leaves another where work remains.
_WAKE = """
local function wake(key)
  if redis.call('LLEN', key) == 0 then redis.call('RPUSH', key, '1') end
end
"""

# KEYS: epoch. ARGV: random text for a new epoch. Gives the epoch.
CURRENT_EPOCH = (
    _EPOCH
    + """
local known = redis.call('GET', KEYS[1])
local id = run_id()
if known and string.sub(known, 1, #id) == id then return known end
return new_epoch(KEYS[1], ARGV[1])
"""
)

# KEYS: epoch, wake, pending, urgent, delayed, then the status key of each ticket.
# ARGV: random text for a new epoch, seconds a status is kept, its text, then of each
# ticket its id, 1 if it is urgent, and milliseconds until it is due. Gives the epoch.
# A delayed id keeps its urgency as a mark before it.
PUT = (
    _EPOCH
    + _NOW
    + _WAKE
    + """
local lines = {['0'] = KEYS[3], ['1'] = KEYS[4]}
local now = now_ms()
for number = 6, #KEYS do
  local at = 4 + (number - 6) * 3
  local id, urgent, delay = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  if delay > 0 then
    redis.call('ZADD', KEYS[5], now + delay, urgent .. id)
  else
    redis.call('RPUSH', lines[urgent], id)
  end
  redis.call('SET', KEYS[number], ARGV[3], 'EX', ARGV[2])
end
wake(KEYS[2])
return epoch(KEYS[1], ARGV[1])
"""
)

# KEYS: wake, pending, urgent, delayed, processing.
# ARGV: 1 if the urgent line comes first, else 0; the longest wait in milliseconds.
# Gives the id taken, or nothing and the milliseconds until there may be one.
TAKE = (
    _NOW
    + _WAKE
    + """
local lines = {['0'] = KEYS[2], ['1'] = KEYS[3]}
local now = now_ms()
for _, marked in ipairs(redis.call('ZRANGE', KEYS[4], '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)) do
  redis.call('ZREM', KEYS[4], marked)
  redis.call('RPUSH', lines[string.sub(marked, 1, 1)], string.sub(marked, 2))
end
local first = lines[ARGV[1]]
local second = first == KEYS[2] and KEYS[3] or KEYS[2]
local id = redis.call('LMOVE', first, KEYS[5], 'LEFT', 'RIGHT')
  or redis.call('LMOVE', second, KEYS[5], 'LEFT', 'RIGHT')
local wait = tonumber(ARGV[2])
local next = redis.call('ZRANGE', KEYS[4], 0, 0, 'WITHSCORES')
local soon = next[2] and tonumber(next[2]) - now < wait
if soon then wait = math.max(tonumber(next[2]) - now, 1) end
if id and (soon or redis.call('LLEN', first) + redis.call('LLEN', second) > 0) then
  wake(KEYS[1])
end
return {id, wait}
"""
)

# KEYS: processing; with a state also status, attempts and last attempt; with an ending
# also the list it is filed in. ARGV: the id, the state, the time, seconds these are
# kept, the length of the list.
DONE = """
redis.call('LREM', KEYS[1], 0, ARGV[1])
if KEYS[2] then
  redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[4])
  redis.call('INCR', KEYS[3])
  redis.call('EXPIRE', KEYS[3], ARGV[4])
  redis.call('SET', KEYS[4], ARGV[3], 'EX', ARGV[4])
end
if KEYS[5] then
  redis.call('LPUSH', KEYS[5], ARGV[1])
  redis.call('LTRIM', KEYS[5], 0, ARGV[5] - 1)
end
"""

# KEYS: wake, processing, the id's line. ARGV: the id, which goes back in front of its line.
# Gives 1, or 0 where it was not in work.
GIVE_BACK = (
    _WAKE
    + """
if redis.call('LREM', KEYS[2], 0, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[3], ARGV[1])
wake(KEYS[1])
return 1
"""
)

# KEYS: pending, urgent, processing, delayed.
DEPTH = """
return {
  redis.call('LLEN', KEYS[1]), redis.call('LLEN', KEYS[2]),
  redis.call('LLEN', KEYS[3]), redis.call('ZCARD', KEYS[4]),
}
"""
