CREATE TABLE public.zoe_applications (
    execution_id character varying NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.zoe_core (
    id integer NOT NULL,
    epoch bigint NOT NULL,
    holder text NOT NULL,
    taken_at double precision NOT NULL,
    seq bigint NOT NULL,
    writes bigint NOT NULL
);
CREATE TABLE public.zoe_disabled_nodes (
    name character varying NOT NULL,
    disabled_by text NOT NULL,
    disabled_at double precision NOT NULL
);
CREATE TABLE public.zoe_events (
    seq bigint NOT NULL,
    at double precision NOT NULL,
    kind character varying NOT NULL,
    execution_id character varying NOT NULL,
    owner character varying NOT NULL,
    data text NOT NULL
);
CREATE TABLE public.zoe_executions (
    id character varying NOT NULL,
    owner character varying NOT NULL,
    name character varying NOT NULL,
    state character varying NOT NULL,
    parent character varying NOT NULL,
    created_at double precision NOT NULL,
    ended_at double precision,
    version bigint NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.zoe_keys (
    owner character varying NOT NULL,
    key character varying NOT NULL,
    digest character varying NOT NULL,
    execution_id character varying NOT NULL,
    created_at double precision NOT NULL
);
CREATE TABLE public.zoe_labels (
    execution_id character varying NOT NULL,
    key character varying NOT NULL,
    value character varying NOT NULL
);
CREATE TABLE public.zoe_leases (
    id character varying NOT NULL,
    execution_id character varying NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.zoe_schema_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.zoe_secrets (
    execution_id character varying NOT NULL,
    name character varying NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.zoe_services (
    execution_id character varying NOT NULL,
    name character varying NOT NULL,
    body text NOT NULL
);
INSERT INTO public.zoe_applications VALUES ('e-000001', '{"name":"dask","title":"Dask","processes":[{"name":"dask.scheduler","framework":"dask","command":["python","-m","dask"],"core":1,"elastic":0,"elastic_limit":64,"resources":{"microcores":500000,"memory_bytes":536870912,"gpus":0},"environment":{},"files":{"dask.yaml":"distributed: {}\n"},"ports":{"rpc":{"protocol":"tcp","title":"","path":"/","headers":{},"keeps_prefix":false},"ui":{"protocol":"http","title":"Dashboard","path":"/","headers":{},"keeps_prefix":false}},"ready":{"tcp":"rpc","http":"","log":"","command":[],"timeout_s":60.0},"after":[],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""},{"name":"dask.worker","framework":"dask","command":["python","-m","worker"],"core":1,"elastic":3,"elastic_limit":64,"resources":{"microcores":0,"memory_bytes":0,"gpus":0},"environment":{},"files":{},"ports":{},"ready":null,"after":["dask.scheduler"],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""}],"contexts":{"dask":{"parameters":{"workers":4},"accepts":{},"folder":"/frameworks/dask"}},"connections":[{"name":"dask","framework":"dask","kind":"dask","values":{"address":"tcp://{{ processes.scheduler.host }}"},"secrets":["token"]}],"requires":{"python":[],"java":""},"secrets":["dask.token"],"certificates":[],"secret_parameters":[],"ends_with":"","lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"activity":{},"extensions":{"ha":{"replicas":2}},"is_trusted":true}');
INSERT INTO public.zoe_applications VALUES ('e-000002', '{"name":"dask","title":"Dask","processes":[{"name":"dask.scheduler","framework":"dask","command":["python","-m","dask"],"core":1,"elastic":0,"elastic_limit":64,"resources":{"microcores":500000,"memory_bytes":536870912,"gpus":0},"environment":{},"files":{"dask.yaml":"distributed: {}\n"},"ports":{"rpc":{"protocol":"tcp","title":"","path":"/","headers":{},"keeps_prefix":false},"ui":{"protocol":"http","title":"Dashboard","path":"/","headers":{},"keeps_prefix":false}},"ready":{"tcp":"rpc","http":"","log":"","command":[],"timeout_s":60.0},"after":[],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""},{"name":"dask.worker","framework":"dask","command":["python","-m","worker"],"core":1,"elastic":3,"elastic_limit":64,"resources":{"microcores":0,"memory_bytes":0,"gpus":0},"environment":{},"files":{},"ports":{},"ready":null,"after":["dask.scheduler"],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""}],"contexts":{"dask":{"parameters":{"workers":4},"accepts":{},"folder":"/frameworks/dask"}},"connections":[{"name":"dask","framework":"dask","kind":"dask","values":{"address":"tcp://{{ processes.scheduler.host }}"},"secrets":["token"]}],"requires":{"python":[],"java":""},"secrets":["dask.token"],"certificates":[],"secret_parameters":[],"ends_with":"","lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"activity":{},"extensions":{"ha":{"replicas":2}},"is_trusted":true}');
INSERT INTO public.zoe_core VALUES (1, 1, 'zoe 0.1', 1, 3, 5);
INSERT INTO public.zoe_events VALUES (1, 1, 'execution.submitted', 'e-000001', 'ada', '{}');
INSERT INTO public.zoe_events VALUES (2, 1, 'execution.running', 'e-000001', 'ada', '{}');
INSERT INTO public.zoe_events VALUES (3, 2, 'execution.submitted', 'e-000002', 'ada', '{}');
INSERT INTO public.zoe_executions VALUES ('e-000001', 'ada', 'dask-1', 'submitted', '', 1, NULL, 1, '{"parameters":{"workers":4},"entry":"","outcome":null,"reason":null,"target":{"goal":"run","elastic":{},"outcome":null,"reason":null,"generation":0},"spent_attempts":{},"lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"client":{"kernel_id":"k","notebook":"a.ipynb","python":"/usr/bin/python3","cwd":"/home/ada","server":""},"environment":{},"labels":{},"priority":100,"queued_at":null,"started_at":null,"idle_since":null,"unleased_since":null}');
INSERT INTO public.zoe_executions VALUES ('e-000002', 'ada', 'dask-2', 'ended', '', 2, 5, 1, '{"parameters":{"workers":4},"entry":"","outcome":"succeeded","reason":null,"target":{"goal":"run","elastic":{},"outcome":null,"reason":null,"generation":0},"spent_attempts":{},"lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"client":{"kernel_id":"k","notebook":"a.ipynb","python":"/usr/bin/python3","cwd":"/home/ada","server":""},"environment":{},"labels":{},"priority":100,"queued_at":null,"started_at":null,"idle_since":null,"unleased_since":null}');
INSERT INTO public.zoe_keys VALUES ('ada', 'once', 'd', 'e-000001', 1);
INSERT INTO public.zoe_leases VALUES ('lease-1', 'e-000001', '{"id":"lease-1","execution_id":"e-000001","kind":"kernel","client":{"kernel_id":"","notebook":"","python":"","cwd":"","server":""},"created_at":1.0,"expires_at":null,"ttl_s":null}');
INSERT INTO public.zoe_schema_version VALUES ('0002');
INSERT INTO public.zoe_secrets VALUES ('e-000001', 'token', 'word');
INSERT INTO public.zoe_services VALUES ('e-000001', 'dask.worker-0', '{"name":"dask.worker-0","process":"dask.worker","node":"here","is_core":true,"state":"running","attempt":1,"failures":0,"host":"","ports":{"rpc":40000},"handle":{"pid":1000,"boot_id":"b"},"exit_code":null,"reason":null,"due_at":0.0,"ready_at":null}');
INSERT INTO public.zoe_services VALUES ('e-000001', 'dask.worker-1', '{"name":"dask.worker-1","process":"dask.worker","node":"here","is_core":false,"state":"running","attempt":1,"failures":0,"host":"","ports":{"rpc":40001},"handle":{"pid":1001,"boot_id":"b"},"exit_code":null,"reason":null,"due_at":0.0,"ready_at":null}');
ALTER TABLE ONLY public.zoe_applications
    ADD CONSTRAINT pk_zoe_applications PRIMARY KEY (execution_id);
ALTER TABLE ONLY public.zoe_core
    ADD CONSTRAINT pk_zoe_core PRIMARY KEY (id);
ALTER TABLE ONLY public.zoe_disabled_nodes
    ADD CONSTRAINT pk_zoe_disabled_nodes PRIMARY KEY (name);
ALTER TABLE ONLY public.zoe_events
    ADD CONSTRAINT pk_zoe_events PRIMARY KEY (seq);
ALTER TABLE ONLY public.zoe_executions
    ADD CONSTRAINT pk_zoe_executions PRIMARY KEY (id);
ALTER TABLE ONLY public.zoe_keys
    ADD CONSTRAINT pk_zoe_keys PRIMARY KEY (owner, key);
ALTER TABLE ONLY public.zoe_labels
    ADD CONSTRAINT pk_zoe_labels PRIMARY KEY (execution_id, key);
ALTER TABLE ONLY public.zoe_leases
    ADD CONSTRAINT pk_zoe_leases PRIMARY KEY (id);
ALTER TABLE ONLY public.zoe_secrets
    ADD CONSTRAINT pk_zoe_secrets PRIMARY KEY (execution_id, name);
ALTER TABLE ONLY public.zoe_services
    ADD CONSTRAINT pk_zoe_services PRIMARY KEY (execution_id, name);
ALTER TABLE ONLY public.zoe_schema_version
    ADD CONSTRAINT zoe_schema_version_pkc PRIMARY KEY (version_num);
CREATE INDEX ix_zoe_events_at ON public.zoe_events USING btree (at);
CREATE INDEX ix_zoe_events_execution_id_seq ON public.zoe_events USING btree (execution_id, seq);
CREATE INDEX ix_zoe_events_owner_seq ON public.zoe_events USING btree (owner, seq);
CREATE INDEX ix_zoe_executions_created_at_id ON public.zoe_executions USING btree (created_at, id);
CREATE INDEX ix_zoe_executions_ended_at ON public.zoe_executions USING btree (ended_at);
CREATE INDEX ix_zoe_executions_owner_created_at_id ON public.zoe_executions USING btree (owner, created_at, id);
CREATE INDEX ix_zoe_executions_owner_name_created_at ON public.zoe_executions USING btree (owner, name, created_at);
CREATE INDEX ix_zoe_executions_parent_created_at_id ON public.zoe_executions USING btree (parent, created_at, id);
CREATE INDEX ix_zoe_executions_state_created_at_id ON public.zoe_executions USING btree (state, created_at, id);
CREATE INDEX ix_zoe_keys_created_at ON public.zoe_keys USING btree (created_at);
CREATE INDEX ix_zoe_labels_key_value ON public.zoe_labels USING btree (key, value);
CREATE INDEX ix_zoe_leases_execution_id ON public.zoe_leases USING btree (execution_id);
ALTER TABLE ONLY public.zoe_applications
    ADD CONSTRAINT fk_zoe_applications_execution_id FOREIGN KEY (execution_id) REFERENCES public.zoe_executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.zoe_labels
    ADD CONSTRAINT fk_zoe_labels_execution_id FOREIGN KEY (execution_id) REFERENCES public.zoe_executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.zoe_leases
    ADD CONSTRAINT fk_zoe_leases_execution_id FOREIGN KEY (execution_id) REFERENCES public.zoe_executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.zoe_secrets
    ADD CONSTRAINT fk_zoe_secrets_execution_id FOREIGN KEY (execution_id) REFERENCES public.zoe_executions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.zoe_services
    ADD CONSTRAINT fk_zoe_services_execution_id FOREIGN KEY (execution_id) REFERENCES public.zoe_executions(id) ON DELETE CASCADE;
