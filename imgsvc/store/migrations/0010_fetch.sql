-- Images given by URL, which wait for their bytes before they wait for a worker.
BEGIN IMMEDIATE;

-- Who is asked first; NULL where nobody is.
ALTER TABLE images ADD COLUMN fetch_host TEXT
    CHECK (fetch_host IS NULL OR (kind = 'url' AND url IS NOT NULL));

-- From when on: 0 for at once. NULL as soon as the bytes are there, or nobody wants them.
ALTER TABLE images ADD COLUMN fetch_at INTEGER CHECK (
    fetch_at IS NULL
    OR (fetch_at >= 0 AND fetch_host IS NOT NULL AND sha256 IS NULL
        AND state IN ('pending', 'fetching'))
);

-- Host by host, and job by job within a host.
CREATE INDEX images_to_fetch ON images (fetch_host, job_id, idx)
    WHERE state = 'pending' AND fetch_at = 0;
CREATE INDEX images_to_fetch_later ON images (fetch_at)
    WHERE state = 'pending' AND fetch_at > 0;

-- The claims, which thousands of images that wait for their bytes must not slow down; it has
-- all that a claim asks for, so that no row is read for an image that is passed over.
CREATE INDEX images_claimable ON images (job_id, state, fetch_at, idx, not_before)
    WHERE state = 'pending' AND fetch_at IS NULL;

PRAGMA user_version = 10;
COMMIT;
