WITH scores AS (
    SELECT *,
        substr(benchmark || '#', 1, instr(benchmark || '#', '#') - 1) AS data,
        replace(coalesce(split, ''), ': ', char(31)) AS parts
    FROM evaluations
),
-- A score of all classes begins a row anew where the one before it had a number.
former AS (
    SELECT *, min(id) OVER same AS first_id, lag(miou) OVER (
        PARTITION BY data, split, pictures, model, weights_hash, llm, composition, prompt_set,
            subset
        ORDER BY id
    ) AS former
    FROM scores
    WINDOW same AS (
        PARTITION BY data, split, pictures, model, weights_hash, llm, composition, prompt_set
    )
),
starts AS (
    SELECT *, coalesce(
        max(CASE WHEN subset = 'all' AND former IS NOT NULL THEN id END) OVER (
            PARTITION BY first_id
        ),
        first_id
    ) AS start_id
    FROM former
),
latest AS (
    SELECT first_id, start_id, data, parts,
        max(CASE WHEN subset = 'all' THEN id END) AS all_id,
        max(CASE WHEN subset = 'seen' THEN id END) AS seen_id,
        max(CASE WHEN subset = 'unseen' THEN id END) AS unseen_id
    FROM starts WHERE id >= start_id
    GROUP BY first_id
),
-- What a split was for: report of "val: report half (seed 0)".
roles AS (
    SELECT *, substr(parts, length(rtrim(parts, replace(parts, char(31), ''))) + 1) || ' ' AS tail
    FROM latest
),
units AS (
    SELECT roles.*, e.split, e.pictures, e.model, e.weights_hash AS weights, e.llm, e.composition,
        e.prompt_set AS prompts, e.attributes, e.run, e.created_at AS scored,
        json_extract(e.details, '$.groups') AS groups
    FROM roles JOIN evaluations AS e ON e.id = start_id
    WHERE coalesce(nullif(:split, ''), 'report')
        IN ('all', e.split, substr(tail, 1, instr(tail, ' ') - 1))
),
shown AS (
    SELECT *, coalesce(groups, pictures) < {least} AS few FROM units
)
SELECT
    {base} || 'evaluations/' || start_id AS link,
    data AS benchmark, shown.split, shown.pictures, shown.model, weights, shown.llm,
    shown.composition, prompts, a.miou,
    CASE WHEN NOT coalesce(few, 0) AND a.miou_low <> a.miou_high THEN a.miou_low END AS low,
    CASE WHEN NOT coalesce(few, 0) AND a.miou_low <> a.miou_high THEN a.miou_high END AS high,
    seen.miou AS seen, unseen.miou AS unseen,
    CASE
        WHEN few AND groups IS NULL
        THEN 'too few pictures (' || shown.pictures || ', at least {least} are needed)'
        WHEN few
        THEN 'too few pictures that are independent (' || groups
            || CASE groups WHEN 1 THEN ' group' ELSE ' groups' END
            || ', at least {least} are needed)'
    END AS no_interval,
    shown.run, scored
FROM shown
LEFT JOIN evaluations AS a ON a.id = all_id
LEFT JOIN evaluations AS seen ON seen.id = seen_id
LEFT JOIN evaluations AS unseen ON unseen.id = unseen_id
WHERE (:benchmark = '' OR data = :benchmark)
    AND (:model = '' OR shown.model = :model)
    AND (:llm = '' OR shown.llm = :llm)
    AND (:attribute = '' OR :attribute IN (SELECT value FROM json_each(shown.attributes)))
ORDER BY a.miou IS NULL, a.miou DESC, first_id
