WITH history AS (
    SELECT vocabulary, class_index, attribute, llm, id AS place, edited_at AS at,
        coalesce(action, 'replaced') AS what, old_text, new_text
    FROM edits
    UNION ALL
    SELECT vocabulary, class_index, attribute, llm, NULL, updated_at,
        'now: ' || status || ', source ' || source || CASE WHEN locked THEN ', locked' ELSE '' END
            || CASE WHEN stale THEN ', stale' ELSE '' END,
        NULL, text
    FROM descriptions
)
SELECT
    CASE WHEN EXISTS (
        SELECT 1 FROM attempts AS a
        WHERE a.vocabulary = h.vocabulary AND a.class_index = h.class_index AND a.llm = h.llm
            AND h.attribute IN (SELECT a.attribute UNION SELECT value FROM json_each(a.attributes))
    ) THEN
        {base} || 'cell_attempts?vocabulary=' || {url h.vocabulary} || '&class=' || h.class_index
            || '&attribute=' || {url h.attribute} || '&llm=' || {url h.llm}
    END AS link,
    h.vocabulary, h.class_index, c.readable AS class, h.attribute, h.llm, h.at, h.what,
    h.old_text, h.new_text
FROM history AS h JOIN classes AS c USING (vocabulary, class_index)
WHERE {class c}
    AND (:attribute = '' OR h.attribute = :attribute)
    AND (:llm = '' OR h.llm = :llm)
ORDER BY h.vocabulary, h.class_index, h.attribute, h.llm, h.place IS NULL, h.place
