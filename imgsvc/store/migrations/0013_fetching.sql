-- What may come from a host, where that is less than the limit for every image.
BEGIN IMMEDIATE;

ALTER TABLE images ADD COLUMN fetch_max_bytes INTEGER
    CHECK (fetch_max_bytes IS NULL OR (fetch_max_bytes > 0 AND fetch_host IS NOT NULL));

PRAGMA user_version = 13;
COMMIT;
