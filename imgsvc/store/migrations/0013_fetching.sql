-- Fetching by priority and job by job, and what is left to fetch.
BEGIN IMMEDIATE;

-- What may come from a host, where that is less than the limit for every image.
ALTER TABLE images ADD COLUMN fetch_max_bytes INTEGER
    CHECK (fetch_max_bytes IS NULL OR (fetch_max_bytes > 0 AND fetch_host IS NOT NULL));

-- The rank of the job's priority, 0 first; NULL where nobody is asked.
ALTER TABLE images ADD COLUMN fetch_rank INTEGER
    CHECK (fetch_rank IS NULL OR (fetch_rank BETWEEN 0 AND 2 AND fetch_host IS NOT NULL));
UPDATE images SET fetch_rank = (
    SELECT CASE jobs.priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END
    FROM jobs WHERE jobs.id = images.job_id
)
WHERE fetch_host IS NOT NULL;

-- Host by host, and job by job within a host; and the other way round.
DROP INDEX images_to_fetch;
CREATE INDEX images_to_fetch ON images (fetch_rank, fetch_host, job_id, idx)
    WHERE state = 'pending' AND fetch_at = 0;
CREATE INDEX images_to_fetch_by_job ON images (fetch_rank, job_id, fetch_host)
    WHERE state = 'pending' AND fetch_at = 0;

-- How many of a job's images wait for their bytes, or are being fetched.
ALTER TABLE jobs ADD COLUMN unfetched INTEGER NOT NULL DEFAULT 0
    CHECK (unfetched BETWEEN 0 AND total - completed - failed - cancelled);
UPDATE jobs SET unfetched = (
    SELECT count(*) FROM images
    WHERE images.job_id = jobs.id AND images.state IN ('pending', 'fetching')
        AND images.fetch_host IS NOT NULL AND images.sha256 IS NULL
)
WHERE finished_at IS NULL;

PRAGMA user_version = 13;
COMMIT;
