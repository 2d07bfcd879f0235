-- Tables that images came in. Source columns stand beside the images, whose rows stay as they
-- are: a row has the images from first_idx on, and every row has one.
BEGIN IMMEDIATE;

-- with_bom: whether text that goes back begins with a byte order mark.
CREATE TABLE product_lists (
    job_id TEXT PRIMARY KEY NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    header TEXT NOT NULL CHECK (json_valid(header)),
    delimiter TEXT NOT NULL CHECK (length(delimiter) = 1),
    with_bom INTEGER NOT NULL CHECK (with_bom IN (0, 1))
) STRICT, WITHOUT ROWID;

-- Cells may be long, so this is a rowid table with a narrow index.
CREATE TABLE product_rows (
    job_id TEXT NOT NULL REFERENCES product_lists (job_id) ON DELETE CASCADE,
    first_idx INTEGER NOT NULL CHECK (first_idx >= 0),
    image_count INTEGER NOT NULL CHECK (image_count > 0),
    cells TEXT NOT NULL CHECK (json_valid(cells)),
    PRIMARY KEY (job_id, first_idx)
) STRICT;

PRAGMA user_version = 12;
COMMIT;
