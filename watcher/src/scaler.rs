//! KEDA's external scaler: asks for as many workers as there is work for, and never for fewer than are busy.

mod wanted;

use std::pin::Pin;

use futures::{Stream, StreamExt as _, stream};
use isc_proto::externalscaler::{
    GetMetricSpecResponse, GetMetricsRequest, GetMetricsResponse, IsActiveResponse, MetricSpec,
    MetricValue, ScaledObjectRef,
    external_scaler_server::{ExternalScaler, ExternalScalerServer},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};

use crate::tls::Listening;
use wanted::Crew;
pub(crate) use wanted::Demand;

/// The metric's name.
const METRIC: &str = "isc-slots";

/// The newest demand; none while another watcher leads, or not everything is known yet.
pub(crate) type Demands = watch::Receiver<Option<Demand>>;

/// The `ExternalScaler` service.
pub(crate) struct Scaler {
    demands: Demands,
    stop: CancellationToken,
}

// === impl Scaler ===

impl Scaler {
    /// A scaler that ends when `stop` is cancelled.
    #[must_use]
    pub(crate) fn new(demands: Demands, stop: CancellationToken) -> Self {
        Self { demands, stop }
    }

    /// Serves until cancelled.
    ///
    /// # Errors
    /// When the listener fails.
    pub(crate) async fn serve(self, door: Listening) -> Result<(), tonic::transport::Error> {
        let stop = self.stop.clone();
        let server = Server::builder().add_service(ExternalScalerServer::new(self));
        door.serve(server, stop).await
    }

    fn slots(&self, crew: &Crew) -> Result<u64, Status> {
        let demand = self.demands.borrow();
        let demand = demand.as_ref().ok_or_else(|| {
            Status::unavailable(
                "it is not known yet what runs: this watcher has just started, or another one leads",
            )
        })?;
        Ok(demand.slots(crew))
    }
}

fn crew(of: Option<&ScaledObjectRef>) -> Result<Crew, Status> {
    let of = of.ok_or_else(|| Status::invalid_argument("scaledObjectRef is missing"))?;
    Crew::new(&of.scaler_metadata).map_err(|why| {
        Status::invalid_argument(format!("ScaledObject {}/{}: {why}", of.namespace, of.name))
    })
}

#[tonic::async_trait]
impl ExternalScaler for Scaler {
    type StreamIsActiveStream =
        Pin<Box<dyn Stream<Item = Result<IsActiveResponse, Status>> + Send + 'static>>;

    async fn is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<IsActiveResponse>, Status> {
        let slots = self.slots(&crew(Some(request.get_ref()))?)?;
        Ok(Response::new(IsActiveResponse { result: slots > 0 }))
    }

    async fn stream_is_active(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let crew = crew(Some(request.get_ref()))?;
        let mut demands = self.demands.clone();
        demands.mark_changed();
        let changes = stream::unfold((demands, None), move |(mut demands, told)| {
            let crew = crew.clone();
            async move {
                loop {
                    demands.changed().await.ok()?;
                    let slots = demands.borrow_and_update().as_ref().map(|d| d.slots(&crew));
                    let active = slots.map(|slots| slots > 0);
                    if let Some(result) = active.filter(|_| active != told) {
                        return Some((Ok(IsActiveResponse { result }), (demands, active)));
                    }
                }
            }
        });
        let stop = self.stop.clone().cancelled_owned();
        Ok(Response::new(changes.take_until(stop).boxed()))
    }

    async fn get_metric_spec(
        &self,
        request: Request<ScaledObjectRef>,
    ) -> Result<Response<GetMetricSpecResponse>, Status> {
        let slots = crew(Some(request.get_ref()))?.slots;
        let spec = MetricSpec {
            metric_name: METRIC.into(),
            target_size: slots.into(),
            target_size_float: slots.into(),
        };
        Ok(Response::new(GetMetricSpecResponse {
            metric_specs: vec![spec],
        }))
    }

    async fn get_metrics(
        &self,
        request: Request<GetMetricsRequest>,
    ) -> Result<Response<GetMetricsResponse>, Status> {
        let slots = self.slots(&crew(request.get_ref().scaled_object_ref.as_ref())?)?;
        // Far below 2^53.
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let value = MetricValue {
            metric_name: METRIC.into(),
            metric_value: slots.into(),
            metric_value_float: slots.into(),
        };
        Ok(Response::new(GetMetricsResponse {
            metric_values: vec![value],
        }))
    }
}
