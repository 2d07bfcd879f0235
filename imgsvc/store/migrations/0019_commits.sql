-- How many commits there were: a start compares it with the file beside the database.
BEGIN IMMEDIATE;

-- The token tells databases apart; copies keep it.
CREATE TABLE commits (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    token TEXT NOT NULL,
    number INTEGER NOT NULL
) STRICT;
INSERT INTO commits (id, token, number) VALUES (1, lower(hex(randomblob(16))), 0);

PRAGMA user_version = 19;
COMMIT;
