//! How commands come to a cluster.

use std::path::Path;

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

const ADVICE: &str = "no cluster can be asked: set KUBECONFIG, or choose a context by --context";

/// A client, and the namespace of its context. Without a kubeconfig it may run in a pod.
///
/// # Errors
///
/// When the kubeconfig, or its context, is not there or cannot be used.
pub(crate) async fn connect(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<(Client, String)> {
    // Two providers of cryptography may be linked in: without a choice TLS panics at its first use.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let file = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
    let config = match file {
        Ok(file) => {
            let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(file, &options).await.context(ADVICE)?
        }
        Err(_) if kubeconfig.is_none() && context.is_none() => Config::infer().await.context(ADVICE)?,
        Err(error) => return Err(error).context(ADVICE),
    };
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config).context(ADVICE)?, namespace))
}
