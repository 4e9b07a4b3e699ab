//! Tests the rendered manifests of `deploy/`: the objects are valid, have minimal permissions, and
//! refer only to names that exist.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use step_observer_tests::available;
use step_observer_tests::manifests::{
    components, config, copy_deploy, documents, kubectl, list, of_kind, render, rendered, text,
    understood, workload,
};
use step_observer_tests::path;
use step_observer_tests::program::Program;

/// Returns the bytes of a quantity.
fn bytes(quantity: &Value) -> u64 {
    let quantity = text(quantity);
    let digits = quantity.trim_end_matches(char::is_alphabetic);
    let unit = match &quantity[digits.len()..] {
        "" => 1,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        other => panic!("{other}"),
    };
    digits.parse::<u64>().unwrap() * unit
}

#[test]
fn kubernetes_knows_every_field() {
    for (form, objects) in available!(rendered()) {
        assert!(objects.len() > 8, "{form}");
        for object in &objects {
            if let Some(understood) = understood(object) {
                assert_eq!(&understood, object, "{form}");
            }
        }
    }
}

#[test]
fn every_object_has_its_place() {
    for (form, objects) in available!(rendered()) {
        let mut names = BTreeSet::new();
        for object in &objects {
            let metadata = &object["metadata"];
            let kind = text(&object["kind"]);
            let place = text(&metadata["namespace"]);
            let whole_cluster = ["Namespace", "ClusterRole", "ClusterRoleBinding"].contains(&kind);
            let tekton = metadata["name"] == "step-observer-tekton-sink";
            let of_runs = metadata["name"] == "step-observer-known-secrets";
            let expected = match (whole_cluster, tekton, of_runs) {
                (true, ..) => "",
                (_, true, _) => "tekton-pipelines",
                (.., true) => "ci",
                _ => "step-observer",
            };
            assert_eq!(place, expected, "{form}: {kind}");
            let name = (kind, place, text(&metadata["name"]));
            assert!(names.insert(name), "{form}: {name:?} is there twice");
        }
    }
}

#[test]
fn every_reference_of_a_manifest_resolves() {
    for (form, objects) in available!(rendered()) {
        let workload = workload(&objects);
        let labels = &workload["spec"]["template"]["metadata"]["labels"];
        let selected = |selector: &Value| {
            let wanted = selector.as_object().unwrap();
            !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
        };
        assert!(
            selected(&workload["spec"]["selector"]["matchLabels"]),
            "{form}"
        );
        for budget in of_kind(&objects, "PodDisruptionBudget") {
            assert!(
                selected(&budget["spec"]["selector"]["matchLabels"]),
                "{form}"
            );
        }
        let pod = &workload["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        let ports: Vec<&Value> = list(&container["ports"])
            .iter()
            .map(|port| &port["name"])
            .collect();
        for policy in of_kind(&objects, "NetworkPolicy") {
            let spec = &policy["spec"];
            assert!(selected(&spec["podSelector"]["matchLabels"]), "{form}");
            for port in list(&spec["ingress"])
                .iter()
                .flat_map(|rule| list(&rule["ports"]))
            {
                assert!(ports.contains(&&port["port"]), "{form}: {port}");
            }
        }
        let services = of_kind(&objects, "Service");
        for service in &services {
            assert!(selected(&service["spec"]["selector"]), "{form}");
            for port in list(&service["spec"]["ports"]) {
                assert!(ports.contains(&&port["targetPort"]), "{form}: {port}");
            }
        }
        for monitor in of_kind(&objects, "ServiceMonitor") {
            let wanted = monitor["spec"]["selector"]["matchLabels"]
                .as_object()
                .unwrap();
            let labels = &services[0]["metadata"]["labels"];
            assert!(
                wanted.iter().all(|(name, value)| labels[name] == *value),
                "{form}"
            );
            assert_eq!(
                monitor["spec"]["endpoints"][0]["port"],
                services[0]["spec"]["ports"][0]["name"]
            );
        }
        for binding in of_kind(&objects, "SinkBinding") {
            // In the other overlays, the user patches the kind, as the comment of the SinkBinding
            // says.
            if form == "knative" {
                assert_eq!(binding["spec"]["subject"]["kind"], workload["kind"]);
            }
            assert_eq!(
                binding["spec"]["subject"]["name"],
                workload["metadata"]["name"]
            );
        }
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let port = &container[probe]["httpGet"]["port"];
            assert!(ports.contains(&port), "{form}: {probe}");
        }
        let mut volumes: Vec<&Value> = list(&pod["volumes"])
            .iter()
            .map(|volume| &volume["name"])
            .collect();
        let claims = list(&workload["spec"]["volumeClaimTemplates"]).iter();
        volumes.extend(claims.map(|claim| &claim["metadata"]["name"]));
        let mounted: Vec<&Value> = list(&container["volumeMounts"])
            .iter()
            .map(|mount| &mount["name"])
            .collect();
        let (volumes, mounted) = (volumes.iter().collect::<Vec<_>>(), mounted);
        assert_eq!(volumes.len(), mounted.len(), "{form}");
        for mount in mounted {
            assert!(volumes.contains(&&mount), "{form}: {mount}");
        }
        for binding in objects
            .iter()
            .filter(|object| text(&object["kind"]).ends_with("RoleBinding"))
        {
            let role = &binding["roleRef"];
            let of_binding = |object: &&Value| {
                object["kind"] == role["kind"]
                    && object["metadata"]["name"] == role["name"]
                    && (object["kind"] == "ClusterRole"
                        || object["metadata"]["namespace"] == binding["metadata"]["namespace"])
            };
            assert_eq!(
                objects.iter().filter(of_binding).count(),
                1,
                "{form}: {role}"
            );
            assert_eq!(binding["subjects"][0]["name"], pod["serviceAccountName"]);
        }
    }
}

/// Returns the name of the Lease that a Role allows to update; null if there is none.
fn lease_of_roles(objects: &[Value]) -> Value {
    let roles = of_kind(objects, "Role").into_iter();
    let rules = roles.flat_map(|role| list(&role["rules"]));
    let mut leases = rules.filter(|rule| rule["verbs"] == json!(["get", "update"]));
    let lease = leases.next().map(|rule| rule["resourceNames"][0].clone());
    lease.unwrap_or_default()
}

/// Returns true if a rule of the component `standby` allows to hold its Lease.
fn holds_lease(role: &Value, rule: &Value) -> bool {
    let group = json!(["coordination.k8s.io"]);
    let creates = json!({"apiGroups": group, "resources": ["leases"], "verbs": ["create"]});
    let updates = json!({
        "apiGroups": group, "resources": ["leases"], "resourceNames": ["step-observer"], "verbs": ["get", "update"],
    });
    role["kind"] == "Role"
        && role["metadata"]["name"] == "step-observer-standby"
        && [creates, updates].contains(rule)
}

/// Returns true if a rule allows only the creation of reviews, which are not stored.
fn asks(rule: &Value) -> bool {
    [
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    ]
    .iter()
    .any(|(group, resource)| {
        *rule == json!({"apiGroups": [group], "resources": [resource], "verbs": ["create"]})
    })
}

#[test]
fn its_role_allows_reads_kubernetes_events_and_its_lease_only() {
    for (form, objects) in available!(rendered()) {
        let has_auth = form == "auth" || form.starts_with("all components");
        let (mut questions, mut leases) = (0, 0);
        for role in of_kind(&objects, "ClusterRole")
            .iter()
            .chain(&of_kind(&objects, "Role"))
        {
            for rule in list(&role["rules"]) {
                assert!(!rule.to_string().contains('*'), "{form}: {rule}");
                if asks(rule) {
                    questions += 1;
                    continue;
                }
                if holds_lease(role, rule) {
                    leases += 1;
                    continue;
                }
                let writes = json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]});
                let reads = list(&rule["verbs"])
                    .iter()
                    .all(|verb| ["get", "list", "watch"].contains(&text(verb)));
                let whole_cluster = role["kind"] == "ClusterRole";
                let tells = *rule == writes && !whole_cluster;
                assert!(reads || tells, "{form}: {rule}");
                let of_secrets = rule.to_string().contains("secrets");
                let mut by_name =
                    json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
                let is_theirs = match text(&role["metadata"]["name"]) {
                    "step-observer-known-secrets" => true,
                    "step-observer-pull-secrets" => {
                        by_name["resourceNames"] = json!(["plugin-registry"]);
                        !whole_cluster
                    }
                    _ => false,
                };
                assert_eq!(of_secrets, is_theirs, "{form}: {rule}");
                if of_secrets {
                    assert_eq!(*rule, by_name, "{form}");
                }
                assert!(
                    !(whole_cluster && rule.to_string().contains("configmaps")),
                    "{form}: {rule}"
                );
            }
        }
        assert_eq!(questions, if has_auth { 2 } else { 0 }, "{form}");
        assert_eq!(leases, if form == "standby" { 2 } else { 0 }, "{form}");
        for binding in of_kind(&objects, "ClusterRoleBinding") {
            let role = &binding["roleRef"]["name"];
            assert_ne!(role, "step-observer-known-secrets", "{form}");
        }
    }
}

/// Returns the names of the container's ports that a NetworkPolicy opens.
fn let_in(objects: &[Value]) -> BTreeSet<&str> {
    let policies = of_kind(objects, "NetworkPolicy").into_iter();
    let selected =
        policies.filter(|policy| list(&policy["spec"]["policyTypes"]).contains(&"Ingress".into()));
    let rules = selected.flat_map(|policy| list(&policy["spec"]["ingress"]));
    rules
        .flat_map(|rule| {
            let ports = list(&rule["ports"]);
            assert!(!ports.is_empty(), "all ports: {rule}");
            ports.iter().map(|port| text(&port["port"]))
        })
        .collect()
}

#[test]
fn runs_are_visible_outside_the_pod_only_with_auth() {
    for (form, objects) in available!(rendered()) {
        let config = documents(config(&objects)).remove(0);
        let admin = &config["admin"];
        let open = BTreeSet::from(["metrics", "probes"]);
        match admin["auth"].is_null() {
            true => assert_eq!(admin["listen"], "127.0.0.1:8082", "{form}"),
            false => assert_eq!(admin["auth"], json!({"kubernetes": {}}), "{form}"),
        }
        let with_auth = form == "auth" || form.starts_with("all components");
        let runs = with_auth.then_some("runs");
        let expected: BTreeSet<&str> = open.into_iter().chain(runs).collect();
        assert_eq!(let_in(&objects), expected, "{form}");
    }
}

#[test]
fn every_configuration_passes_the_check() {
    for (form, objects) in available!(rendered()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, config(&objects)).unwrap();
        let output = Program::new()
            .args(["config", "check"])
            .arg(&file)
            .run()
            .unwrap();
        assert!(
            output.status.success(),
            "{form}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn numbers_that_belong_together_agree() {
    let manifest = std::fs::read_to_string(path("../Cargo.toml")).unwrap();
    let version = manifest
        .split("\nversion = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    for (form, objects) in available!(rendered()) {
        let workload = workload(&objects);
        let spec = &workload["spec"];
        let pod = &spec["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(
            container["image"],
            format!("step-observer:{version}"),
            "{form}"
        );
        let config = documents(config(&objects)).remove(0);
        for port in list(&container["ports"]) {
            let listen = format!("0.0.0.0:{}", port["containerPort"]);
            match text(&port["name"]) {
                // In other forms, another component may supply the configuration, without this
                // address.
                "runs" if form != "auth" => {}
                "runs" => assert_eq!(config["admin"]["listen"], listen, "{form}"),
                name => assert_eq!(config["admin"][name], listen, "{form}"),
            }
        }
        // The observer writes to the journal once more after its grace period, so Kubernetes must
        // wait longer than that.
        let grace: u64 = text(&config["shutdownGrace"])
            .trim_end_matches('s')
            .parse()
            .unwrap();
        assert!(
            pod["terminationGracePeriodSeconds"].as_u64().unwrap() >= grace + 10,
            "{form}"
        );
        let mounts = list(&container["volumeMounts"]).iter();
        let mut journal =
            mounts.filter(|mount| mount["mountPath"] == config["journal"]["directory"]);
        assert_eq!(journal.next().unwrap()["name"], "journal", "{form}");
        let volume = list(&pod["volumes"])
            .iter()
            .find(|volume| volume["name"] == "journal");
        let claim = &spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"];
        let room = volume.map_or(claim, |volume| &volume["emptyDir"]["sizeLimit"]);
        let needed = 4 * config["journal"]["maxBytes"].as_u64().unwrap() + (128 << 20);
        assert!(bytes(room) >= needed, "{form}: {room}");

        let replicas = spec["replicas"].as_u64().unwrap();
        let variable = |name: &str| {
            let all = list(&container["env"]);
            all.iter().find(|variable| variable["name"] == name)
        };
        match variable("STEP_OBSERVER_SHARDS") {
            Some(shards) => assert_eq!(shards["value"], replicas.to_string(), "{form}"),
            None if form == "standby" => assert_eq!(replicas, 2),
            None => assert_eq!(replicas, 1, "{form}"),
        }
        let ordinal = variable("STEP_OBSERVER_SHARD")
            .map(|shard| &shard["valueFrom"]["fieldRef"]["fieldPath"]);
        let has_shards = variable("STEP_OBSERVER_SHARDS").is_some();
        assert_eq!(ordinal.is_some(), has_shards, "{form}");
        let budgets = of_kind(&objects, "PodDisruptionBudget").len();
        assert_eq!(budgets, usize::from(replicas > 1), "{form}");
        assert!(ordinal.is_none_or(|path| path == "metadata.name"), "{form}");
        if workload["kind"] == "Deployment" {
            // Without a Lease, two would send everything twice.
            let (strategy, lease) = match config["standby"].is_null() {
                true => ("Recreate", Value::Null),
                false => ("RollingUpdate", config["standby"]["lease"].clone()),
            };
            assert_eq!(spec["strategy"]["type"], strategy, "{form}");
            assert_eq!(lease_of_roles(&objects), lease, "{form}");
        }
    }
}

#[test]
fn the_redacting_configuration_is_the_plain_one_with_a_plugin() {
    let rendered = available!(rendered());
    let of = |form: &str| {
        let (_, objects) = rendered.iter().find(|(name, _)| name == form).unwrap();
        documents(config(objects)).remove(0)
    };
    let mut redacting = of("redact");
    let plugins = redacting
        .as_object_mut()
        .unwrap()
        .remove("plugins")
        .unwrap();
    assert_eq!(redacting, of("base"));
    let redactor = json!({"name": "redact-secrets", "from": {"bundled": "redact-secrets"}, "onError": "strip"});
    assert_eq!(plugins, json!([redactor]));
}

#[test]
fn the_configuration_with_auth_is_the_plain_one_with_another_address() {
    let rendered = available!(rendered());
    let of = |form: &str| {
        let (_, objects) = rendered.iter().find(|(name, _)| name == form).unwrap();
        documents(config(objects)).remove(0)
    };
    let mut plain = of("base");
    plain["admin"]["listen"] = "0.0.0.0:8082".into();
    plain["admin"]["auth"] = json!({"kubernetes": {}});
    assert_eq!(of("auth"), plain);
}

#[test]
fn commands_of_the_readme_render() {
    available!(kubectl());
    let readme = std::fs::read_to_string(path("../deploy/README.md")).unwrap();
    let shown: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(shown.len(), 3);
    let folder = tempfile::tempdir().unwrap();
    copy_deploy(&folder.path().join("step-observer/deploy"));
    std::fs::write(folder.path().join("kustomization.yaml"), shown.concat()).unwrap();
    std::fs::write(folder.path().join("config.yaml"), "lookBack: 1h\n").unwrap();
    let objects = render(folder.path());
    assert_eq!(config(&objects), "lookBack: 1h\n");
    let workload = workload(&objects);
    assert_eq!(workload["kind"], "StatefulSet");
    let image = &workload["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "registry.example/ci/step-observer:0.1.0");
    let annotations = &of_kind(&objects, "Service")[0]["metadata"]["annotations"];
    assert_eq!(annotations["prometheus.io/scrape"], "true");
    for name in components() {
        assert!(readme.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn the_kustomization_for_openshift_pipelines_renders() {
    available!(kubectl());
    let document = std::fs::read_to_string(path("../docs/install.md")).unwrap();
    let shown = document.split("```yaml\n# kustomization.yaml\n").nth(1);
    let shown = shown.unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    copy_deploy(&folder.path().join("step-observer/deploy"));
    std::fs::write(folder.path().join("kustomization.yaml"), shown).unwrap();
    let objects = render(folder.path());
    let moved = objects
        .iter()
        .filter(|object| object["metadata"]["namespace"] == "openshift-pipelines");
    let kinds: Vec<&str> = moved.map(|object| text(&object["kind"])).collect();
    assert_eq!(kinds, ["Role", "RoleBinding"]);
    let pod = &workload(&objects)["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["fsGroup"], Value::Null);
}
