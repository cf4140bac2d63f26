SELECT
    CASE WHEN count(d.llm) THEN
        {base} || 'class_texts?vocabulary=' || {url c.vocabulary} || '&class=' || c.class_index
    END AS link,
    c.vocabulary, c.class_index, c.readable AS class, c.sense,
    count(DISTINCT d.llm) AS llms,
    coalesce(sum(d.status = 'done'), 0) AS done,
    coalesce(sum(d.status = 'failed'), 0) AS failed,
    coalesce(sum(d.locked), 0) AS locked,
    coalesce(sum(d.stale), 0) AS stale,
    coalesce(sum(d.review IS NOT NULL), 0) AS review
FROM classes AS c LEFT JOIN descriptions AS d USING (vocabulary, class_index)
WHERE (:vocabulary = '' OR c.vocabulary = :vocabulary)
    AND (:word = '' OR instr(lower(c.readable || ' ' || c.name || c.synonyms), lower(:word)))
GROUP BY c.vocabulary, c.class_index
ORDER BY c.vocabulary, c.class_index
