-- What is needed to find an earlier result of the same bytes.
BEGIN IMMEDIATE;

ALTER TABLE jobs ADD COLUMN reuse INTEGER NOT NULL DEFAULT 1 CHECK (reuse IN (0, 1));

-- Which engine made the outputs, and by which recipe; NULL where that was not noted.
ALTER TABLE images ADD COLUMN reuse_key TEXT
    CHECK (reuse_key IS NULL OR (state = 'completed' AND sha256 IS NOT NULL));

CREATE INDEX images_reusable ON images (sha256, reuse_key) WHERE reuse_key IS NOT NULL;

PRAGMA user_version = 4;
COMMIT;
