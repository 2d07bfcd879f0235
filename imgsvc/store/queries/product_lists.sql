-- name: insert_product_list
-- The table that a job's images came in.
INSERT INTO product_lists (job_id, header, delimiter, with_bom)
VALUES (:job_id, :header, :delimiter, :with_bom);

-- name: insert_product_row
-- A row of it, and which images are of it.
INSERT INTO product_rows (job_id, first_idx, image_count, cells)
VALUES (:job_id, :first_idx, :image_count, :cells);

-- name: product_list
-- The table of a job.
SELECT header, delimiter, with_bom FROM product_lists WHERE job_id = :job_id;

-- name: product_rows
-- A page of its rows, in their order.
SELECT first_idx, image_count, cells FROM product_rows
WHERE job_id = :job_id AND first_idx > :after
ORDER BY first_idx LIMIT :limit;
