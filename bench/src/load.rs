//! Making requests as fast as kcp takes them.

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DynamicObject, PostParams};
use serde_json::json;

use crate::ground::{Ground, NAMESPACE, Tenant};

/// So many requests are being made at a time.
pub(crate) const MAKERS: usize = 32;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Of their names.
    pub(crate) prefix: &'a str,
    pub(crate) service: &'a str,
}

// === impl Asked ===

impl Asked<'_> {
    /// Makes one request of the tenant whose turn it is.
    pub(crate) async fn make<'g>(
        &self,
        ground: &'g Ground,
        number: usize,
    ) -> Result<(&'g Tenant, DynamicObject)> {
        let tenant = &ground.tenants[number % ground.tenants.len()];
        let name = format!("{}-{number}", self.prefix);
        let spec = json!({"params": {"artifact": "registry/app:1.0", "number": number}});
        let object = tenant.team.object(&name, self.service, &spec)?;
        let api = tenant.team.requests(NAMESPACE);
        let made = api.create(&PostParams::default(), &object).await?;
        Ok((tenant, made))
    }

    /// Makes so many, as fast as kcp takes them.
    pub(crate) async fn flood(&self, ground: &Ground, count: usize) -> Result<()> {
        let numbers = stream::iter(0..count).map(Ok::<usize, anyhow::Error>);
        numbers
            .try_for_each_concurrent(MAKERS, async |number| {
                self.make(ground, number).await.map(drop)
            })
            .await
    }
}
