BEGIN TRANSACTION;
CREATE TABLE zoe_applications (
	execution_id VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_zoe_applications PRIMARY KEY (execution_id), 
	CONSTRAINT fk_zoe_applications_execution_id FOREIGN KEY(execution_id) REFERENCES zoe_executions (id) ON DELETE CASCADE
);
INSERT INTO "zoe_applications" VALUES('e-000001','{"name":"dask","title":"Dask","processes":[{"name":"dask.scheduler","framework":"dask","command":["python","-m","dask"],"core":1,"elastic":0,"elastic_limit":64,"resources":{"microcores":500000,"memory_bytes":536870912,"gpus":0},"environment":{},"files":{"dask.yaml":"distributed: {}\n"},"ports":{"rpc":{"protocol":"tcp","title":"","path":"/","headers":{},"keeps_prefix":false},"ui":{"protocol":"http","title":"Dashboard","path":"/","headers":{},"keeps_prefix":false}},"ready":{"tcp":"rpc","http":"","log":"","command":[],"timeout_s":60.0},"after":[],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""},{"name":"dask.worker","framework":"dask","command":["python","-m","worker"],"core":1,"elastic":3,"elastic_limit":64,"resources":{"microcores":0,"memory_bytes":0,"gpus":0},"environment":{},"files":{},"ports":{},"ready":null,"after":["dask.scheduler"],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""}],"contexts":{"dask":{"parameters":{"workers":4},"accepts":{},"folder":"/frameworks/dask"}},"connections":[{"name":"dask","framework":"dask","kind":"dask","values":{"address":"tcp://{{ processes.scheduler.host }}"},"secrets":["token"]}],"requires":{"python":[],"java":""},"secrets":["dask.token"],"certificates":[],"secret_parameters":[],"ends_with":"","lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"activity":{},"extensions":{"ha":{"replicas":2}},"is_trusted":true}');
INSERT INTO "zoe_applications" VALUES('e-000002','{"name":"dask","title":"Dask","processes":[{"name":"dask.scheduler","framework":"dask","command":["python","-m","dask"],"core":1,"elastic":0,"elastic_limit":64,"resources":{"microcores":500000,"memory_bytes":536870912,"gpus":0},"environment":{},"files":{"dask.yaml":"distributed: {}\n"},"ports":{"rpc":{"protocol":"tcp","title":"","path":"/","headers":{},"keeps_prefix":false},"ui":{"protocol":"http","title":"Dashboard","path":"/","headers":{},"keeps_prefix":false}},"ready":{"tcp":"rpc","http":"","log":"","command":[],"timeout_s":60.0},"after":[],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""},{"name":"dask.worker","framework":"dask","command":["python","-m","worker"],"core":1,"elastic":3,"elastic_limit":64,"resources":{"microcores":0,"memory_bytes":0,"gpus":0},"environment":{},"files":{},"ports":{},"ready":null,"after":["dask.scheduler"],"restart":{"when":"on-failure","attempts":3,"delay_s":2.0},"drain":null,"grace_s":10.0,"image":"","folder":""}],"contexts":{"dask":{"parameters":{"workers":4},"accepts":{},"folder":"/frameworks/dask"}},"connections":[{"name":"dask","framework":"dask","kind":"dask","values":{"address":"tcp://{{ processes.scheduler.host }}"},"secrets":["token"]}],"requires":{"python":[],"java":""},"secrets":["dask.token"],"certificates":[],"secret_parameters":[],"ends_with":"","lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"activity":{},"extensions":{"ha":{"replicas":2}},"is_trusted":true}');
CREATE TABLE zoe_core (
	id INTEGER NOT NULL, 
	epoch INTEGER NOT NULL, 
	holder TEXT NOT NULL, 
	taken_at DOUBLE NOT NULL, 
	seq INTEGER NOT NULL, 
	writes INTEGER NOT NULL, 
	CONSTRAINT pk_zoe_core PRIMARY KEY (id)
);
INSERT INTO "zoe_core" VALUES(1,1,'zoe 0.1',1.0,3,5);
CREATE TABLE zoe_events (
	seq INTEGER NOT NULL, 
	at DOUBLE NOT NULL, 
	kind VARCHAR NOT NULL, 
	execution_id VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	data TEXT NOT NULL, 
	CONSTRAINT pk_zoe_events PRIMARY KEY (seq)
);
INSERT INTO "zoe_events" VALUES(1,1.0,'execution.submitted','e-000001','ada','{}');
INSERT INTO "zoe_events" VALUES(2,1.0,'execution.running','e-000001','ada','{}');
INSERT INTO "zoe_events" VALUES(3,2.0,'execution.submitted','e-000002','ada','{}');
CREATE TABLE zoe_executions (
	id VARCHAR NOT NULL, 
	owner VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	parent VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_zoe_executions PRIMARY KEY (id)
);
INSERT INTO "zoe_executions" VALUES('e-000001','ada','dask-1','submitted','',1.0,NULL,1,'{"parameters":{"workers":4},"entry":"","outcome":null,"reason":null,"target":{"goal":"run","elastic":{},"outcome":null,"reason":null,"generation":0},"spent_attempts":{},"lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"client":{"kernel_id":"k","notebook":"a.ipynb","python":"/usr/bin/python3","cwd":"/home/ada","server":""},"environment":{},"labels":{},"priority":100,"queued_at":null,"started_at":null,"idle_since":null,"unleased_since":null}');
INSERT INTO "zoe_executions" VALUES('e-000002','ada','dask-2','ended','',2.0,5.0,1,'{"parameters":{"workers":4},"entry":"","outcome":"succeeded","reason":null,"target":{"goal":"run","elastic":{},"outcome":null,"reason":null,"generation":0},"spent_attempts":{},"lifetime":{"after_s":null,"idle_s":null,"together_with":null,"grace_s":600.0},"client":{"kernel_id":"k","notebook":"a.ipynb","python":"/usr/bin/python3","cwd":"/home/ada","server":""},"environment":{},"labels":{},"priority":100,"queued_at":null,"started_at":null,"idle_since":null,"unleased_since":null}');
CREATE TABLE zoe_keys (
	owner VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	execution_id VARCHAR NOT NULL, 
	created_at DOUBLE NOT NULL, 
	CONSTRAINT pk_zoe_keys PRIMARY KEY (owner, "key")
);
INSERT INTO "zoe_keys" VALUES('ada','once','d','e-000001',1.0);
CREATE TABLE zoe_labels (
	execution_id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	value VARCHAR NOT NULL, 
	CONSTRAINT pk_zoe_labels PRIMARY KEY (execution_id, "key"), 
	CONSTRAINT fk_zoe_labels_execution_id FOREIGN KEY(execution_id) REFERENCES zoe_executions (id) ON DELETE CASCADE
);
CREATE TABLE zoe_leases (
	id VARCHAR NOT NULL, 
	execution_id VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_zoe_leases PRIMARY KEY (id), 
	CONSTRAINT fk_zoe_leases_execution_id FOREIGN KEY(execution_id) REFERENCES zoe_executions (id) ON DELETE CASCADE
);
INSERT INTO "zoe_leases" VALUES('lease-1','e-000001','{"id":"lease-1","execution_id":"e-000001","kind":"kernel","client":{"kernel_id":"","notebook":"","python":"","cwd":"","server":""},"created_at":1.0,"expires_at":null,"ttl_s":null}');
CREATE TABLE zoe_schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT zoe_schema_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "zoe_schema_version" VALUES('0002');
CREATE TABLE zoe_secrets (
	execution_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_zoe_secrets PRIMARY KEY (execution_id, name), 
	CONSTRAINT fk_zoe_secrets_execution_id FOREIGN KEY(execution_id) REFERENCES zoe_executions (id) ON DELETE CASCADE
);
INSERT INTO "zoe_secrets" VALUES('e-000001','token','word');
CREATE TABLE zoe_services (
	execution_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	body TEXT NOT NULL, 
	CONSTRAINT pk_zoe_services PRIMARY KEY (execution_id, name), 
	CONSTRAINT fk_zoe_services_execution_id FOREIGN KEY(execution_id) REFERENCES zoe_executions (id) ON DELETE CASCADE
);
INSERT INTO "zoe_services" VALUES('e-000001','dask.worker-0','{"name":"dask.worker-0","process":"dask.worker","node":"here","is_core":true,"state":"running","attempt":1,"failures":0,"host":"","ports":{"rpc":40000},"handle":{"pid":1000,"boot_id":"b"},"exit_code":null,"reason":null,"due_at":0.0,"ready_at":null}');
INSERT INTO "zoe_services" VALUES('e-000001','dask.worker-1','{"name":"dask.worker-1","process":"dask.worker","node":"here","is_core":false,"state":"running","attempt":1,"failures":0,"host":"","ports":{"rpc":40001},"handle":{"pid":1001,"boot_id":"b"},"exit_code":null,"reason":null,"due_at":0.0,"ready_at":null}');
CREATE INDEX ix_zoe_events_at ON zoe_events (at);
CREATE INDEX ix_zoe_events_execution_id_seq ON zoe_events (execution_id, seq);
CREATE INDEX ix_zoe_events_owner_seq ON zoe_events (owner, seq);
CREATE INDEX ix_zoe_executions_created_at_id ON zoe_executions (created_at, id);
CREATE INDEX ix_zoe_executions_ended_at ON zoe_executions (ended_at);
CREATE INDEX ix_zoe_executions_owner_created_at_id ON zoe_executions (owner, created_at, id);
CREATE INDEX ix_zoe_executions_owner_name_created_at ON zoe_executions (owner, name, created_at);
CREATE INDEX ix_zoe_executions_parent_created_at_id ON zoe_executions (parent, created_at, id);
CREATE INDEX ix_zoe_executions_state_created_at_id ON zoe_executions (state, created_at, id);
CREATE INDEX ix_zoe_keys_created_at ON zoe_keys (created_at);
CREATE INDEX ix_zoe_labels_key_value ON zoe_labels ("key", value);
CREATE INDEX ix_zoe_leases_execution_id ON zoe_leases (execution_id);
CREATE TABLE zoe_disabled_nodes (
	name VARCHAR NOT NULL, 
	disabled_by TEXT NOT NULL, 
	disabled_at DOUBLE NOT NULL, 
	CONSTRAINT pk_zoe_disabled_nodes PRIMARY KEY (name)
);
COMMIT;
