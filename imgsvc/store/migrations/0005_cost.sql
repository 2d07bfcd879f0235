-- What work is left, so that the time until a job's end can be told.
BEGIN IMMEDIATE;

-- Predicted milliseconds of one worker.
ALTER TABLE images ADD COLUMN cost_ms INTEGER NOT NULL DEFAULT 0 CHECK (cost_ms >= 0);

-- The sum over the images that are not final.
ALTER TABLE jobs ADD COLUMN remaining_ms INTEGER NOT NULL DEFAULT 0 CHECK (remaining_ms >= 0);

PRAGMA user_version = 5;
COMMIT;
