//! Making the requests and following them to their ends, with the table redrawn on the way.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use isc_tests::{Team, team::is_finished};
use kube::api::ListParams;
use serde_json::Value;

use super::{plan::Job, table::Table};

const LIMIT: Duration = Duration::from_secs(120);
const PERIOD: Duration = Duration::from_millis(150);

/// One request as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) team: String,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) status: Value,
    /// All percentages seen on the way.
    pub(crate) percents: BTreeSet<u64>,
}

/// Makes all requests and returns when every one has ended.
pub(crate) async fn to_the_end(teams: &[Team; 2], jobs: &[Job]) -> Result<Vec<Row>> {
    let asked = jobs.iter().map(|job| async {
        let team = &teams[job.team];
        let made = team.ask(job.name, job.service, job.params.clone()).await;
        made.with_context(|| format!("{} cannot make the request {}", team.path, job.name))
    });
    try_join_all(asked).await?;
    let row = |job: &Job| Row {
        team: teams[job.team].name.clone(),
        name: job.name.to_owned(),
        service: job.service.to_owned(),
        ..Row::default()
    };
    let mut rows: Vec<_> = jobs.iter().map(row).collect();
    let mut table = Table::new();
    let deadline = Instant::now() + LIMIT;
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        for team in teams {
            update(team, &mut rows).await?;
        }
        table.draw(&rows);
        if rows.iter().all(|row| is_finished(&row.status)) {
            return Ok(rows);
        }
        if Instant::now() > deadline {
            bail!("not all requests have ended within {} s", LIMIT.as_secs());
        }
    }
}

async fn update(team: &Team, rows: &mut [Row]) -> Result<()> {
    for request in team
        .requests("default")
        .list(&ListParams::default())
        .await?
    {
        let name = request.metadata.name.unwrap_or_default();
        let mut known = rows
            .iter_mut()
            .filter(|r| r.team == team.name && r.name == name);
        if let Some(row) = known.next() {
            row.status = request.data["status"].clone();
            row.percents
                .extend(row.status["progress"]["percent"].as_u64());
        }
    }
    Ok(())
}
