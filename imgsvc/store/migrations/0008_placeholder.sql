-- Nothing: the number belongs to a change that is merged before this one.
BEGIN IMMEDIATE;
PRAGMA user_version = 8;
COMMIT;
