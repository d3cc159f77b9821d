// `users_sync`: the table that apps read users from and refer to. It holds each user as Stack's server API shows it, and is written by
// triggers in the transaction that changed the user, so it is never behind.
//
// A user who is deleted stays in it with `deleted_at` set, so that what an app has written about him keeps its reference.
//
// The functions are `pgrove_auth`'s and run as it, whoever wrote the row. Names resolve below `pg_catalog` and `neon_auth` alone, and nobody
// else may call them: a trigger on another table could otherwise put anything in here.

/** Milliseconds in the JSON as a time; one that can be used in a generated column. */
const timeOf = (key: string): string =>
  `to_timestamp(trunc((raw_json ->> '${key}')::bigint::double precision) / 1000::double precision)`

const settings = 'SECURITY DEFINER SET search_path = pg_catalog, neon_auth, pg_temp'
const millis = (time: string): string => `trunc(extract(epoch FROM ${time}) * 1000)::bigint`
/** Of a whole row no more than a row may have, whatever somebody wrote into the tables it is made of. */
const mostAccounts = 100

export const usersSync = `
CREATE TABLE users_sync (
  raw_json jsonb NOT NULL,
  id text GENERATED ALWAYS AS (raw_json ->> 'id') STORED NOT NULL PRIMARY KEY,
  name text GENERATED ALWAYS AS (raw_json ->> 'display_name') STORED,
  email text GENERATED ALWAYS AS (raw_json ->> 'primary_email') STORED,
  created_at timestamptz GENERATED ALWAYS AS (${timeOf('signed_up_at_millis')}) STORED,
  updated_at timestamptz,
  deleted_at timestamptz,
  email_verified boolean GENERATED ALWAYS AS ((raw_json ->> 'primary_email_verified')::boolean) STORED,
  signed_in_at timestamptz GENERATED ALWAYS AS (${timeOf('signed_in_at_millis')}) STORED,
  CHECK (octet_length(raw_json::text) <= 1048576)
);
CREATE INDEX users_sync_deleted_at_idx ON users_sync (deleted_at);

CREATE FUNCTION team_json(team uuid) RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, neon_auth, pg_temp AS $$
  SELECT jsonb_build_object(
    'id', o."id", 'display_name', o."name", 'profile_image_url', coalesce(t.profile_image_url, o."logo"),
    'client_metadata', t.client_metadata, 'client_read_only_metadata', t.client_read_only_metadata,
    'server_metadata', t.server_metadata, 'created_at_millis', ${millis('o."createdAt"')})
  FROM "organization" o LEFT JOIN stack_team t ON t.organization_id = o."id" WHERE o."id" = team
$$;

-- Stack's server user, and when it last signed in.
CREATE FUNCTION user_json(wanted uuid) RETURNS jsonb LANGUAGE sql STABLE SET search_path = pg_catalog, neon_auth, pg_temp AS $$
  SELECT jsonb_build_object(
    'id', u."id",
    'primary_email', e.email,
    'primary_email_verified', u."emailVerified" AND e.email IS NOT NULL,
    'primary_email_auth_enabled', s.primary_email_auth_enabled IS NOT FALSE AND e.email IS NOT NULL,
    'display_name', nullif(u."name", ''),
    'profile_image_url', u."image",
    'signed_up_at_millis', ${millis('u."createdAt"')},
    'signed_in_at_millis', ${millis('s.signed_in_at')},
    'last_active_at_millis', ${millis('coalesce(s.last_active_at, u."createdAt")')},
    'client_metadata', s.client_metadata,
    'client_read_only_metadata', s.client_read_only_metadata,
    'server_metadata', s.server_metadata,
    'has_password', a.has_password,
    'otp_auth_enabled', s.otp_auth_enabled IS TRUE,
    'passkey_auth_enabled', false,
    'auth_with_email', e.email IS NOT NULL AND s.primary_email_auth_enabled IS NOT FALSE AND (a.has_password OR s.otp_auth_enabled IS TRUE),
    'requires_totp_mfa', false,
    'oauth_providers', a.providers,
    'selected_team_id', s.selected_team_id,
    'selected_team', team_json(s.selected_team_id),
    'is_anonymous', false)
  FROM "user" u
  LEFT JOIN stack_user s ON s.user_id = u."id"
  CROSS JOIN LATERAL (SELECT CASE WHEN u."email" NOT LIKE '%.invalid' THEN u."email" END AS email) e
  CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(c."providerId" = 'credential' AND c."password" IS NOT NULL), false) AS has_password,
      coalesce(jsonb_agg(jsonb_build_object('id', c."providerId", 'account_id', c."accountId", 'email', NULL) ORDER BY c."createdAt", c."id")
        FILTER (WHERE c."providerId" <> 'credential'), '[]'::jsonb) AS providers
    FROM (SELECT * FROM "account" b WHERE b."userId" = u."id" ORDER BY b."createdAt", b."id" LIMIT ${mostAccounts}) c
  ) a
  WHERE u."id" = wanted
$$;

CREATE FUNCTION sync_user(wanted uuid) RETURNS void LANGUAGE sql SET search_path = pg_catalog, neon_auth, pg_temp AS $$
  INSERT INTO users_sync AS s (raw_json, updated_at, deleted_at)
  SELECT json, now(), NULL FROM user_json(wanted) AS json WHERE json IS NOT NULL
  ON CONFLICT (id) DO UPDATE SET raw_json = excluded.raw_json, updated_at = excluded.updated_at, deleted_at = NULL
  WHERE s.raw_json IS DISTINCT FROM excluded.raw_json OR s.deleted_at IS NOT NULL
$$;

CREATE FUNCTION user_changed() RETURNS trigger LANGUAGE plpgsql ${settings} AS $$
BEGIN
  IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR OLD."id" <> NEW."id") THEN
    UPDATE users_sync SET deleted_at = now(), updated_at = now() WHERE id = OLD."id"::text;
  END IF;
  IF TG_OP = 'INSERT' THEN
    INSERT INTO stack_user (user_id) VALUES (NEW."id");
  ELSIF TG_OP = 'UPDATE' THEN
    PERFORM sync_user(NEW."id");
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER sync_user AFTER INSERT OR UPDATE OR DELETE ON "user" FOR EACH ROW EXECUTE FUNCTION user_changed();

CREATE FUNCTION account_changed() RETURNS trigger LANGUAGE plpgsql ${settings} AS $$
BEGIN
  IF TG_OP <> 'INSERT' THEN
    PERFORM sync_user(OLD."userId");
  END IF;
  IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND OLD."userId" <> NEW."userId" THEN
    PERFORM sync_user(NEW."userId");
  END IF;
  RETURN NULL;
END
$$;
-- Tokens are renewed often, and are nothing that shows.
CREATE TRIGGER sync_user AFTER INSERT OR DELETE OR UPDATE OF "userId", "providerId", "accountId", "password" ON "account"
  FOR EACH ROW EXECUTE FUNCTION account_changed();

CREATE FUNCTION session_begun() RETURNS trigger LANGUAGE plpgsql ${settings} AS $$
BEGIN
  -- Whoever acts for a user is not that user.
  IF NEW."impersonatedBy" IS NULL THEN
    INSERT INTO stack_user (user_id, signed_in_at, last_active_at) VALUES (NEW."userId", now(), now())
    ON CONFLICT (user_id) DO UPDATE SET signed_in_at = now(), last_active_at = now();
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER note_sign_in AFTER INSERT ON "session" FOR EACH ROW EXECUTE FUNCTION session_begun();

CREATE FUNCTION stack_user_changed() RETURNS trigger LANGUAGE plpgsql ${settings} AS $$
BEGIN
  PERFORM sync_user(NEW.user_id);
  RETURN NULL;
END
$$;
CREATE TRIGGER sync_user AFTER INSERT OR UPDATE ON stack_user FOR EACH ROW EXECUTE FUNCTION stack_user_changed();

CREATE FUNCTION team_changed() RETURNS trigger LANGUAGE plpgsql ${settings} AS $$
BEGIN
  PERFORM sync_user(s.user_id) FROM stack_user s WHERE s.selected_team_id = (to_jsonb(NEW) ->> TG_ARGV[0])::uuid;
  RETURN NULL;
END
$$;
CREATE TRIGGER sync_users AFTER UPDATE ON "organization" FOR EACH ROW EXECUTE FUNCTION team_changed('id');
CREATE TRIGGER sync_users AFTER INSERT OR UPDATE ON stack_team FOR EACH ROW EXECUTE FUNCTION team_changed('organization_id');
`
