-- Images that were led from one host to another, and wait there for a turn.
BEGIN IMMEDIATE;

-- How far they have got, as JSON; NULL where an image's own URL is asked for next.
ALTER TABLE images ADD COLUMN fetch_way TEXT
    CHECK (fetch_way IS NULL OR (fetch_at IS NOT NULL AND json_valid(fetch_way)));

PRAGMA user_version = 18;
COMMIT;
