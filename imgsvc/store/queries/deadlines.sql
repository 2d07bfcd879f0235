-- name: move_tries
-- When images may be tried again. The index has all that is asked for, so that no row is read
-- of an image that waits for nothing but its turn.
UPDATE images INDEXED BY images_claimable SET not_before = not_before + :by_ms
WHERE state = 'pending' AND fetch_at IS NULL AND not_before IS NOT NULL;

-- name: move_fetches
-- When images may be fetched again; 0 would mean at once to those who read it.
UPDATE images INDEXED BY images_to_fetch_later SET fetch_at = max(fetch_at + :by_ms, 1)
WHERE state = 'pending' AND fetch_at > 0;

-- name: move_deliveries
-- When messages are sent again.
UPDATE deliveries SET next_at = next_at + :by_ms WHERE state = 'pending';

-- name: move_expiries
-- When finished jobs are deleted.
UPDATE jobs SET expires_at = expires_at + :by_ms WHERE expires_at IS NOT NULL;

-- name: move_appends
-- Since when open jobs have been idle.
UPDATE jobs SET appended_at = appended_at + :by_ms WHERE finished_at IS NULL;

-- name: move_keys
-- When idempotency keys are forgotten.
UPDATE idempotency_keys SET expires_at = expires_at + :by_ms WHERE expires_at > 0;

-- name: cut_tries
-- An image that would wait longer than any image has to may be tried at once.
UPDATE images INDEXED BY images_claimable SET not_before = NULL
WHERE state = 'pending' AND fetch_at IS NULL AND not_before > :now_ms + :longest_ms;

-- name: cut_fetches
-- The same for one that is to be fetched.
UPDATE images INDEXED BY images_to_fetch_later SET fetch_at = 0
WHERE state = 'pending' AND fetch_at > 0 AND fetch_at > :now_ms + :longest_ms;

-- name: cut_deliveries
-- The same for a message.
UPDATE deliveries SET next_at = :now_ms
WHERE state = 'pending' AND next_at > :now_ms + :longest_ms;

-- name: cut_expiries
-- No job is kept for longer than it would be if it ended now.
UPDATE jobs SET expires_at = :now_ms + retain_s * 1000
WHERE expires_at > :now_ms AND expires_at > :now_ms + retain_s * 1000;

-- name: postpone_expiries
-- To the end of the year 9999: the next start cuts that.
UPDATE jobs SET expires_at = 253402300799999 WHERE expires_at IS NOT NULL;

-- name: postpone_appends
-- The same for how long open jobs have been idle.
UPDATE jobs SET appended_at = 253402300799999 WHERE finished_at IS NULL;

-- name: cut_appends
-- Nothing was appended later than now.
UPDATE jobs SET appended_at = :now_ms WHERE finished_at IS NULL AND appended_at > :now_ms;

-- name: cut_keys
-- No key is kept for longer than one that comes now.
UPDATE idempotency_keys SET expires_at = :now_ms + :longest_ms
WHERE expires_at > :now_ms + :longest_ms;
