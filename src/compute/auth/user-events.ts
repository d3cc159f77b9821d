// Users that came to be and of whom the webhook is still to hear: written with the user, so that no crash loses one, and taken from here
// into the control database by whoever made the user.

export const userEvents = `
CREATE TABLE user_events (
  id uuid DEFAULT pg_catalog.gen_random_uuid() NOT NULL PRIMARY KEY,
  type text NOT NULL CHECK (octet_length(type) <= 64),
  body jsonb NOT NULL CHECK (octet_length(body::text) <= 65536),
  created_at timestamptz DEFAULT clock_timestamp() NOT NULL
);
CREATE INDEX user_events_created_at_idx ON user_events (created_at, id);

CREATE FUNCTION user_created() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, neon_auth, pg_temp AS $$
BEGIN
  INSERT INTO user_events (type, body) VALUES ('user.created', jsonb_build_object('user', jsonb_build_object(
    'id', NEW."id", 'email', CASE WHEN NEW."email" NOT LIKE '%.invalid' THEN NEW."email" END, 'name', NEW."name",
    'email_verified', NEW."emailVerified", 'image', NEW."image", 'created_at', NEW."createdAt")));
  RETURN NULL;
END
$$;
CREATE TRIGGER note_created AFTER INSERT ON "user" FOR EACH ROW EXECUTE FUNCTION user_created();
`
