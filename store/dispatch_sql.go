package store

// sqlEnter fences the turn and fixes how its statements are planned: by index,
// and not anew each time. Planning took as long as running them, the foreign
// keys' own queries for each row included. What makes kept plans dangerous
// elsewhere (see openPool) is a sequential scan planned while a table was empty;
// a bitmap scan would read and sort every due lane to find the first.
const sqlEnter = `
SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true),
       set_config('enable_bitmapscan', 'off', true),
       parley_fence($1, $2)`

// sqlTakeOver makes everything uncertain that was under way when the channel's
// last owner died: whatever has a pending attempt of an older epoch. Deliveries
// are locked before their attempts, as everywhere.
const sqlTakeOver = `
WITH p AS (
    SELECT DISTINCT delivery_id FROM parley_attempts
     WHERE channel_id = $1 AND outcome = 'pending' AND epoch < $2
), d AS (
    UPDATE parley_deliveries d
       SET state = CASE WHEN $5 OR d.action_no > 0 THEN 'queued' ELSE 'uncertain' END,
           due_at = CASE WHEN $5 OR d.action_no > 0 THEN coalesce($3::timestamptz, statement_timestamp()) ELSE due_at END,
           holds_lane_until = CASE WHEN NOT ($5 OR d.action_no > 0) THEN coalesce($3::timestamptz, statement_timestamp()) + $4::interval END,
           code = 'interrupted',
           words = 'Sending was interrupted, so it is not known whether the message arrived.',
           updated_at = clock_timestamp()
      FROM p WHERE d.id = p.delivery_id AND d.state = 'sending'
    RETURNING d.id, d.tenant_id, d.message_id, d.channel_id, d.state, d.code, d.words
), f AS (
    INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
    SELECT d.tenant_id, 'message', d.state, m.chat_id, ` + deliveryFact + `
      FROM d JOIN crm_chat_messages m ON m.id = d.message_id WHERE d.state = 'uncertain'
), a AS (
    UPDATE parley_attempts a
       SET outcome = 'uncertain', finished_at = clock_timestamp(), code = 'interrupted'
     WHERE a.channel_id = $1 AND a.outcome = 'pending' AND a.epoch < $2
       AND (SELECT count(*) FROM d) >= 0
)
SELECT count(*) FROM d`

// sqlRecover queues again what a turn claimed without anybody learning of it.
const sqlRecover = `
WITH known AS (
    SELECT * FROM unnest($3::bigint[], $4::smallint[], $5::int[]) AS k (delivery_id, part, attempt)
), a AS (
    UPDATE parley_attempts a
       SET outcome = 'retry', finished_at = clock_timestamp(), words = 'It was claimed but never sent.'
     WHERE a.channel_id = $1 AND a.epoch = $2 AND a.outcome = 'pending'
       AND NOT EXISTS (SELECT FROM known k WHERE k.delivery_id = a.delivery_id AND k.part = a.part AND k.attempt = a.attempt)
    RETURNING a.delivery_id, a.part, a.attempt
), d AS (
    UPDATE parley_deliveries d SET state = 'queued', updated_at = clock_timestamp()
      FROM a WHERE d.id = a.delivery_id AND d.state = 'sending' AND d.parts_sent = a.part AND d.attempts = a.attempt
    RETURNING d.id
)
SELECT count(*) FROM d`

// sqlRelease lets the lanes go on that an uncertain delivery has held for long
// enough. The order makes the planner take the index of those few, whatever it
// believes about the channel; the rest is for the next turn.
const sqlRelease = `
WITH d AS (
    UPDATE parley_deliveries
       SET holds_lane_until = NULL, updated_at = clock_timestamp(),
           words = concat_ws(' ', words, 'Later messages are no longer held back for it.')
     WHERE id = ANY (ARRAY(
               SELECT id FROM parley_deliveries
                WHERE channel_id = $1 AND holds_lane_until <= coalesce($2::timestamptz, statement_timestamp())
                ORDER BY channel_id, holds_lane_until LIMIT 1000))
       AND holds_lane_until <= coalesce($2::timestamptz, statement_timestamp())
    RETURNING id
)
SELECT count(*) FROM d`

// sqlHeads reads the heads of up to $6 lanes that are due, going round: from the
// cursor ($3, $4) to the end, then from the start. A lane's head is its first
// open delivery, whatever its state: nothing behind it may overtake.
const sqlHeads = `
WITH due AS MATERIALIZED (
    (SELECT lane, due_at, deliveries, 0 AS round FROM parley_lanes
      WHERE channel_id = $1 AND due_at <= coalesce($2::timestamptz, statement_timestamp())
        AND (due_at, lane) > ($3::timestamptz, $4::text) AND lane NOT IN (SELECT unnest($5::text[]))
      ORDER BY due_at, lane LIMIT $6)
    UNION ALL
    (SELECT lane, due_at, deliveries, 1 FROM parley_lanes
      WHERE channel_id = $1 AND due_at <= coalesce($2::timestamptz, statement_timestamp())
        AND (due_at, lane) <= ($3::timestamptz, $4::text) AND lane NOT IN (SELECT unnest($5::text[]))
      ORDER BY due_at, lane LIMIT $6)
    LIMIT $6
)
SELECT l.lane, l.due_at, l.deliveries, coalesce($2::timestamptz, statement_timestamp()),
       d.id, d.tenant_id::text, d.message_id, d.state, d.due_at, d.holds_lane_until, d.created_at, d.reply_to, d.parts_sent,
       1 + greatest(d.attempts, (SELECT max(a.attempt) FROM parley_attempts a WHERE a.delivery_id = d.id AND a.part = d.parts_sent)),
       d.split, d.template, d.action, CASE WHEN d.action_no > 0 THEN coalesce(m.provider_message, (
           SELECT a.provider_id FROM parley_deliveries o JOIN parley_attempts a ON a.delivery_id = o.id
            WHERE o.message_id = d.message_id AND o.action_no = 0 AND a.provider_id IS NOT NULL ORDER BY a.part, a.attempt LIMIT 1)) END,
       m.message, m.content,
       p.id IS NULL,
       CASE WHEN p.unreachable_at IS NULL THEN '' ELSE coalesce(nullif(p.unreachable_why, ''), 'unreachable') END,
       c.blocked_at IS NOT NULL,
       CASE WHEN $7 THEN (SELECT i.sent_at FROM crm_chat_messages i
                           WHERE i.chat_id = p.chat_id AND i.sender_id = p.id AND i.direction = 'in'
                           ORDER BY i.seq DESC LIMIT 1) END,
       (SELECT json_agg(json_build_object('blob_key', u.blob_key, 'name', coalesce(u.name, ''),
                                          'mime_type', coalesce(u.mime_type, ''), 'size', coalesce(u.size, 0)) ORDER BY f.id)
          FROM crm_chat_message_attachments f JOIN core_uploads u ON u.id = f.upload_id
         WHERE f.message_id = d.message_id)
  FROM due l
  LEFT JOIN LATERAL (
      SELECT * FROM parley_deliveries d
       WHERE d.channel_id = $1 AND d.lane = l.lane AND d.in_lane ORDER BY d.id LIMIT 1) d ON true
  LEFT JOIN crm_chat_messages m ON m.id = d.message_id
  LEFT JOIN crm_chat_members p ON p.id = d.member_id
  LEFT JOIN crm_clients c ON c.id = p.client_id
 ORDER BY l.round, l.due_at, l.lane`

// sqlClaim commits to sending. A delivery that was cancelled since it was read
// is left out.
const sqlClaim = `
WITH c AS (
    SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::smallint[], $5::uuid[]) AS c (id, part, attempt, parts, ref)
), d AS (
    UPDATE parley_deliveries d
       SET state = 'sending', attempts = c.attempt, parts = c.parts, updated_at = clock_timestamp()
      FROM c WHERE d.id = c.id AND d.state = 'queued' AND d.parts_sent = c.part
    RETURNING d.id, d.tenant_id
)
INSERT INTO parley_attempts (delivery_id, part, attempt, tenant_id, channel_id, ref, epoch)
SELECT c.id, c.part, c.attempt, d.tenant_id, $6, c.ref, $7 FROM c JOIN d USING (id)
RETURNING delivery_id`

// sqlRefuse fails what must not be sent. What may have arrived before stays
// uncertain.
const sqlRefuse = `
WITH d AS (
    UPDATE parley_deliveries d
       SET state = CASE WHEN ` + sqlDoubtful + `) THEN 'uncertain' ELSE 'failed' END,
           code = nullif(o.code, ''),
           words = CASE WHEN ` + sqlDoubtful + `) THEN ` + refusedAgain + ` ELSE '' END || o.words, updated_at = clock_timestamp()
      FROM unnest($1::bigint[], $2::text[], $3::text[]) AS o (id, code, words)
     WHERE d.id = o.id AND d.state = 'queued'
    RETURNING d.id, d.tenant_id, d.message_id, d.channel_id, d.state, d.code, d.words, d.action_no
)
INSERT INTO parley_facts (tenant_id, noun, verb, chat_id, data)
SELECT d.tenant_id, 'message', d.state, m.chat_id, ` + deliveryFact + `
  FROM d JOIN crm_chat_messages m ON m.id = d.message_id WHERE d.action_no = 0`

// sqlRemoveLanes removes lanes that were found empty and got nothing since. One
// that a reply holds right now is not waited for.
const sqlRemoveLanes = `
DELETE FROM parley_lanes l
 USING (SELECT l.lane FROM unnest($2::text[], $3::bigint[]) AS o (lane, deliveries)
          JOIN parley_lanes l ON l.channel_id = $1 AND l.lane = o.lane AND l.deliveries = o.deliveries
         ORDER BY l.lane FOR UPDATE OF l SKIP LOCKED) o
 WHERE l.channel_id = $1 AND l.lane = o.lane`

// sqlParkLanes puts lanes off until their head may go.
const sqlParkLanes = `
UPDATE parley_lanes l SET due_at = o.due_at
  FROM (SELECT l.lane, o.due_at FROM unnest($2::text[], $3::timestamptz[]) AS o (lane, due_at)
          JOIN parley_lanes l ON l.channel_id = $1 AND l.lane = o.lane
         ORDER BY l.lane FOR NO KEY UPDATE OF l SKIP LOCKED) o
 WHERE l.channel_id = $1 AND l.lane = o.lane`

// sqlNext is how long until the next lane is due.
const sqlNext = `
SELECT min(due_at) - coalesce($2::timestamptz, statement_timestamp()) FROM parley_lanes
 WHERE channel_id = $1 AND due_at > coalesce($2::timestamptz, statement_timestamp())`

// sqlAnyWaiting asks whether an edit, reaction or status waits for one of these
// provider keys: mostly not.
const sqlAnyWaiting = `
SELECT EXISTS (
    SELECT FROM unnest($1::uuid[], $2::text[], $3::text[]) AS t (channel_id, chat, message)
      JOIN parley_updates u ON u.channel_id = t.channel_id AND u.provider_chat = t.chat
       AND u.provider_message = t.message AND u.applied_at IS NULL)`
