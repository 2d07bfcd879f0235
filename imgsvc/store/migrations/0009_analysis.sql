-- What the pictures are like at a glance.
BEGIN IMMEDIATE;

ALTER TABLE jobs ADD COLUMN analyze INTEGER NOT NULL DEFAULT 1 CHECK (analyze IN (0, 1));

-- NULL where it was not asked for, or the image is older than this column.
ALTER TABLE images ADD COLUMN analysis TEXT
    CHECK (analysis IS NULL OR (state = 'completed' AND json_valid(analysis)));

PRAGMA user_version = 9;
COMMIT;
