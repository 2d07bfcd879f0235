-- name: hosts_to_fetch
-- Hosts that images of a rank may be fetched from now. The recursion steps from host to host,
-- so that ten thousand images of one cost one search.
WITH RECURSIVE
hosts (host) AS (
    SELECT min(images.fetch_host) FROM images INDEXED BY images_to_fetch
    WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_rank = :rank
    UNION ALL
    SELECT (
        SELECT min(images.fetch_host) FROM images INDEXED BY images_to_fetch
        WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_rank = :rank
            AND images.fetch_host > hosts.host
    )
    FROM hosts WHERE hosts.host IS NOT NULL
    LIMIT :limit
)
SELECT host FROM hosts WHERE host IS NOT NULL;

-- name: hosts_to_retry
-- Where a retry by hand of a job's images would begin, and whom it was led to the last time, image
-- by image. codes, indexes: JSON lists; NULL for all.
SELECT url, fetch_host FROM images
WHERE job_id = :job_id AND state IN ('failed', 'cancelled')
    AND fetch_host IS NOT NULL AND sha256 IS NULL
    AND (:codes IS NULL OR error_code IN (SELECT value FROM json_each(:codes)))
    AND (:indexes IS NULL OR idx IN (SELECT value FROM json_each(:indexes)));

-- name: jobs_to_fetch
-- Jobs of a rank that images may be fetched of now, in their order after one; by steps, too.
WITH RECURSIVE
found (job_id) AS (
    SELECT min(images.job_id) FROM images INDEXED BY images_to_fetch_by_job
    WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_rank = :rank
        AND images.job_id > :after
    UNION ALL
    SELECT (
        SELECT min(images.job_id) FROM images INDEXED BY images_to_fetch_by_job
        WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_rank = :rank
            AND images.job_id > found.job_id
    )
    FROM found WHERE found.job_id IS NOT NULL
    LIMIT :limit
)
SELECT job_id FROM found WHERE job_id IS NOT NULL;

-- name: fetch_offers
-- For each job of a rank, with a host, the next ones in the hosts' order, so many at most; busy
-- hosts are stepped over.
WITH RECURSIVE
busy (host) AS (SELECT value FROM json_each(:busy)),
offers (job_id, after, remaining, host) AS (
    SELECT asked.value ->> 0, asked.value ->> 1, :limit, (
        SELECT min(images.fetch_host) FROM images INDEXED BY images_to_fetch_by_job
        WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_rank = :rank
            AND images.job_id = asked.value ->> 0 AND images.fetch_host > asked.value ->> 1
    )
    FROM json_each(:jobs) AS asked
    UNION ALL
    SELECT offers.job_id, offers.after, offers.remaining - (offers.host NOT IN busy), (
        SELECT min(images.fetch_host) FROM images INDEXED BY images_to_fetch_by_job
        WHERE images.state = 'pending' AND images.fetch_at = 0 AND images.fetch_rank = :rank
            AND images.job_id = offers.job_id AND images.fetch_host > offers.host
    )
    FROM offers
    WHERE offers.host IS NOT NULL AND offers.remaining > (offers.host NOT IN busy)
)
SELECT job_id, after, host FROM offers WHERE host IS NOT NULL AND host NOT IN busy;

-- name: begin_fetches
-- Of each pick (rank, host, job, count) the first images of the host from that job on, and else
-- the first ones of the host, begin a try: all of one job. One step is one index search.
WITH RECURSIVE
picked (remaining, image) AS (
    SELECT
        pick.value ->> 3,
        coalesce(
            (
                SELECT images.rowid FROM images INDEXED BY images_to_fetch
                WHERE images.state = 'pending' AND images.fetch_at = 0
                    AND images.fetch_rank = pick.value ->> 0
                    AND images.fetch_host = pick.value ->> 1
                    AND images.job_id >= pick.value ->> 2
                ORDER BY images.job_id, images.idx LIMIT 1
            ),
            (
                SELECT images.rowid FROM images INDEXED BY images_to_fetch
                WHERE images.state = 'pending' AND images.fetch_at = 0
                    AND images.fetch_rank = pick.value ->> 0
                    AND images.fetch_host = pick.value ->> 1
                ORDER BY images.job_id, images.idx LIMIT 1
            )
        )
    FROM json_each(:picks) AS pick
    UNION ALL
    SELECT
        picked.remaining - 1,
        (
            SELECT images.rowid FROM images INDEXED BY images_to_fetch
            WHERE images.state = 'pending' AND images.fetch_at = 0
                AND images.fetch_rank = last.fetch_rank
                AND images.fetch_host = last.fetch_host
                AND images.job_id = last.job_id AND images.idx > last.idx
            ORDER BY images.idx LIMIT 1
        )
    FROM picked CROSS JOIN images AS last
    WHERE picked.remaining > 1 AND last.rowid = picked.image
),
v AS MATERIALIZED (SELECT image FROM picked WHERE image IS NOT NULL)
UPDATE images SET
    state = 'fetching', claim = claim + 1, attempts = attempts + 1
FROM v
WHERE images.rowid = v.image AND +images.state = 'pending'
RETURNING *;

-- name: finish_fetches
-- The bytes are there: images wait for a worker where the try is still the current one. The try
-- that went well counts as the worker's.
WITH v AS MATERIALIZED (
    SELECT
        value ->> 0 AS job_id, value ->> 1 AS idx, value ->> 2 AS claim,
        value ->> 3 AS size_bytes, value ->> 4 AS sha256, value ->> 5 AS cost_ms
    FROM json_each(:fetched)
)
UPDATE images SET
    state = 'pending', attempts = images.attempts - 1, fetch_at = NULL, fetch_way = NULL,
    size_bytes = v.size_bytes, sha256 = v.sha256, cost_ms = v.cost_ms,
    last_error_code = NULL, last_error_message = NULL
FROM v
WHERE images.job_id = v.job_id AND images.idx = v.idx
    AND images.state = 'fetching' AND images.claim = v.claim
RETURNING *;

-- name: fail_fetch
-- An image fails for good where the try is still the current one.
UPDATE images SET
    state = 'failed', attempts = attempts - :uncounted,
    error_code = :error_code, error_message = :error_message,
    last_error_code = NULL, last_error_message = NULL,
    fetch_at = NULL, fetch_way = NULL, finished_at = :now_ms
WHERE job_id = :job_id AND idx = :idx AND state = 'fetching' AND claim = :claim
RETURNING *;

-- name: release_fetch
-- An image waits for another try where this one is still the current one.
UPDATE images SET
    state = 'pending', attempts = attempts - :uncounted, fetch_at = :fetch_at,
    fetch_host = coalesce(:host, fetch_host), fetch_way = :way,
    last_error_code = coalesce(:error_code, last_error_code),
    last_error_message = coalesce(:error_message, last_error_message)
WHERE job_id = :job_id AND idx = :idx AND state = 'fetching' AND claim = :claim
RETURNING *;

-- name: ripen_fetches
-- The first of the images that were to be fetched later, and whose time has come.
UPDATE images SET fetch_at = 0
WHERE +state = 'pending' AND rowid IN (
    SELECT later.rowid FROM images AS later INDEXED BY images_to_fetch_later
    WHERE later.state = 'pending' AND later.fetch_at > 0 AND later.fetch_at <= :now_ms
    ORDER BY later.fetch_at LIMIT :limit
)
RETURNING 1;

-- name: delay_fetches
-- The first images of a host, of a rank, that it was never asked for may be fetched later, of those
-- with ids from one up to another.
UPDATE images SET
    fetch_at = :fetch_at, last_error_code = :error_code, last_error_message = :error_message
WHERE +state = 'pending' AND rowid IN (
    SELECT first.rowid FROM images AS first INDEXED BY images_to_fetch
    WHERE first.state = 'pending' AND first.fetch_at = 0
        AND first.fetch_rank = :rank AND first.fetch_host = :host AND first.attempts = 0
        AND first.id >= :since AND first.id < :before
    ORDER BY first.job_id, first.idx LIMIT :limit
)
RETURNING *;

-- name: give_up_fetches
-- Those of earlier ids fail.
UPDATE images SET
    state = 'failed', error_code = :error_code, error_message = :error_message,
    last_error_code = NULL, last_error_message = NULL,
    fetch_at = NULL, fetch_way = NULL, finished_at = :now_ms
WHERE +state = 'pending' AND rowid IN (
    SELECT first.rowid FROM images AS first INDEXED BY images_to_fetch
    WHERE first.state = 'pending' AND first.fetch_at = 0
        AND first.fetch_rank = :rank AND first.fetch_host = :host AND first.attempts = 0
        AND first.id < :since
    ORDER BY first.job_id, first.idx LIMIT :limit
)
RETURNING *;

-- name: recall_fetches
-- Images that were to be fetched from a host at one time to come may be fetched now.
UPDATE images SET fetch_at = 0
WHERE +state = 'pending' AND rowid IN (
    SELECT later.rowid FROM images AS later INDEXED BY images_to_fetch_later
    WHERE later.state = 'pending' AND later.fetch_at > 0 AND later.fetch_at = :fetch_at
        AND later.fetch_host = :host
    LIMIT :limit
)
RETURNING 1;

-- name: next_fetch
-- When the first of the images that are to be fetched later may be; null when there is none.
SELECT min(fetch_at) AS fetch_at FROM images INDEXED BY images_to_fetch_later
WHERE state = 'pending' AND fetch_at > 0;
