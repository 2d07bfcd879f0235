-- Images that take the whole server down: how often one was being made when it died.
BEGIN IMMEDIATE;

-- Deaths of the server while the image was with the workers; a stop that was asked for is none.
ALTER TABLE images ADD COLUMN interruptions INTEGER NOT NULL DEFAULT 0
    CHECK (interruptions >= 0);

-- The try that began with nothing beside it; NULL where none ever did.
ALTER TABLE images ADD COLUMN alone_claim INTEGER
    CHECK (alone_claim IS NULL OR alone_claim BETWEEN 1 AND claim);

PRAGMA user_version = 16;
COMMIT;
