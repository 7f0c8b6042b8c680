//! Manifests for scenarios, as a user would write them.

use std::{collections::BTreeMap, fmt, path::Path};

/// A WorkloadDeployment of one component behind a Service of the same name. `Display` is the YAML of both.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Name of deployment, component and Service.
    pub name: String,
    /// `file:///...` or an OCI reference.
    pub image: String,
    /// `config.host`: the hostname on the shared listener.
    pub host: Option<String>,
    /// `incoming-handler` (WASI 0.2) or `handler` (0.3).
    pub interface: &'static str,
    /// Units of capacity.
    pub replicas: u32,
    /// Warm instances per replica; `None`: a fresh instance for every call.
    pub pool_size: Option<u32>,
    /// Calls after which a warm instance retires.
    pub max_invocations: Option<u32>,
    /// Calls that one warm instance serves at once.
    pub max_concurrency: Option<u32>,
    /// Calls at once, calls that may wait, how long they may (such as `5s`).
    pub capacity: Option<(u32, u32, &'static str)>,
    /// Whole-request deadline, such as `2s`.
    pub request_timeout: Option<&'static str>,
    /// `localResources.memoryLimitMiB`.
    pub memory_limit_mib: Option<u32>,
    /// `localResources.environment.config`.
    pub environment: BTreeMap<String, String>,
    /// `localResources.allowedHosts`.
    pub allowed_hosts: Vec<String>,
    /// Rules under `template.spec.http.routes`, as YAML in flow or block style without indentation.
    pub routes: Option<String>,
}

impl Workload {
    /// One replica with a fresh instance for every call, WASI 0.2.
    #[must_use]
    pub fn new(name: &str, image: &str) -> Self {
        Self {
            name: name.into(),
            image: image.into(),
            host: None,
            interface: "incoming-handler",
            replicas: 1,
            pool_size: None,
            max_invocations: None,
            max_concurrency: None,
            capacity: None,
            request_timeout: None,
            memory_limit_mib: None,
            environment: BTreeMap::new(),
            allowed_hosts: Vec::new(),
            routes: None,
        }
    }

    /// The same for a component file.
    #[must_use]
    pub fn file(name: &str, component: &Path) -> Self {
        Self::new(name, &format!("file://{}", component.display()))
    }

    /// The hostname on the shared listener.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.into());
        self
    }

    /// A component of WASI 0.3.
    #[must_use]
    pub fn p3(mut self) -> Self {
        self.interface = "handler";
        self
    }

    /// Warm instances per replica.
    #[must_use]
    pub fn pool_size(mut self, instances: u32) -> Self {
        self.pool_size = Some(instances);
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Only the deployment, behind no Service: for routes to name.
    #[must_use]
    pub fn alone(&self) -> String {
        let text = self.to_string();
        let document = text.split_once("---\n").map_or(&*text, |it| it.1);
        let lines: Vec<&str> = document.lines().filter(|it| !it.trim_start().starts_with("kubernetes:")).collect();
        lines.join("\n") + "\n"
    }

    fn component(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "      components:")?;
        writeln!(f, "        - name: {}", self.name)?;
        writeln!(f, "          image: {}", quoted(&self.image))?;
        for (field, value) in [
            ("poolSize", self.pool_size),
            ("maxInvocations", self.max_invocations),
            ("maxConcurrency", self.max_concurrency),
        ] {
            if let Some(value) = value {
                writeln!(f, "          {field}: {value}")?;
            }
        }
        if self.memory_limit_mib.is_none() && self.environment.is_empty() && self.allowed_hosts.is_empty() {
            return Ok(());
        }
        writeln!(f, "          localResources:")?;
        if let Some(limit) = self.memory_limit_mib {
            writeln!(f, "            memoryLimitMiB: {limit}")?;
        }
        if !self.allowed_hosts.is_empty() {
            let hosts: Vec<_> = self.allowed_hosts.iter().map(|host| quoted(host)).collect();
            writeln!(f, "            allowedHosts: [{}]", hosts.join(", "))?;
        }
        if !self.environment.is_empty() {
            writeln!(f, "            environment:\n              config:")?;
            for (name, value) in &self.environment {
                writeln!(f, "                {}: {}", quoted(name), quoted(value))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        writeln!(f, "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}")?;
        writeln!(f, "spec: {{ports: [{{name: http, port: 80}}]}}\n---")?;
        writeln!(
            f,
            "apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\nmetadata: {{name: {name}}}"
        )?;
        writeln!(f, "spec:\n  replicas: {}\n  kubernetes: {{service: {{name: {name}}}}}", self.replicas)?;
        writeln!(f, "  template:\n    spec:")?;
        if let Some((concurrency, depth, timeout)) = self.capacity {
            let capacity = format!("concurrency: {concurrency}, queueDepth: {depth}, queueTimeout: {timeout}");
            writeln!(f, "      capacity: {{{capacity}}}")?;
        }
        if let Some(timeout) = self.request_timeout {
            writeln!(f, "      requestTimeout: {timeout}")?;
        }
        self.component(f)?;
        writeln!(f, "      hostInterfaces:")?;
        writeln!(f, "        - namespace: wasi\n          package: http\n          interfaces: [{}]", self.interface)?;
        if let Some(host) = &self.host {
            writeln!(f, "          config: {{host: {}}}", quoted(host))?;
        }
        if let Some(routes) = &self.routes {
            writeln!(f, "      http:\n        routes:")?;
            for line in routes.lines() {
                writeln!(f, "          {line}")?;
            }
        }
        Ok(())
    }
}

/// Double-quoted YAML; JSON strings are a subset of it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_as_a_user_would_write_it() {
        let mut workload = Workload::file("api", Path::new("/tmp/api.wasm")).host("demo.local").p3().pool_size(2);
        workload.capacity = Some((8, 4, "1s"));
        workload.routes = Some("- matches: [{path: {type: PathPrefix, value: /api}}]".into());
        let text = workload.env("GREETING", "say \"hi\"").to_string();
        let expected = r#"apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: runtime.wasmcloud.dev/v1alpha1
kind: WorkloadDeployment
metadata: {name: api}
spec:
  replicas: 1
  kubernetes: {service: {name: api}}
  template:
    spec:
      capacity: {concurrency: 8, queueDepth: 4, queueTimeout: 1s}
      components:
        - name: api
          image: "file:///tmp/api.wasm"
          poolSize: 2
          localResources:
            environment:
              config:
                "GREETING": "say \"hi\""
      hostInterfaces:
        - namespace: wasi
          package: http
          interfaces: [handler]
          config: {host: "demo.local"}
      http:
        routes:
          - matches: [{path: {type: PathPrefix, value: /api}}]
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_deployment_alone_is_behind_no_service() {
        let alone = Workload::new("api", "image").alone();
        assert!(alone.starts_with("apiVersion: runtime.wasmcloud.dev/v1alpha1\nkind: WorkloadDeployment\n"), "{alone}");
        assert!(!alone.contains("Service") && !alone.contains("kubernetes:"), "{alone}");
        assert!(alone.ends_with("interfaces: [incoming-handler]\n"), "{alone}");
    }
}
