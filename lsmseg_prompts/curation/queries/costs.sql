WITH cells AS (
    SELECT 0 AS is_total, "group" AS name, usd FROM ({cell_costs group})
    UNION ALL
    SELECT 1, "group", usd FROM ({cell_costs total})
),
means AS (
    SELECT is_total, name, count(*) AS cells, avg(usd) AS mean FROM cells GROUP BY is_total, name
),
spreads AS (
    SELECT means.*, CASE WHEN cells > 1 THEN sqrt(sum((usd - mean) * (usd - mean)) / (cells - 1))
        END AS deviation
    FROM means JOIN cells USING (is_total, name) GROUP BY is_total, name
),
spending AS (
    SELECT 0 AS is_total, {group} AS name, {spending} GROUP BY 2
    UNION ALL
    SELECT 1, 'total', {spending}
)
SELECT {link} AS link,
    s.name AS {by}, s.attempts, s.failed, s.lost, s.under_way, s.input_tokens, s.output_tokens,
    s.reasoning_tokens, s.cost_usd, s.bound_usd, s.unpriced, coalesce(cells, 0) AS cells,
    mean AS cell_usd, deviation AS cell_usd_sd
FROM spending AS s LEFT JOIN spreads USING (is_total, name)
ORDER BY is_total, s.name
