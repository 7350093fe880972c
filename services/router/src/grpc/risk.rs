//! Stopping, reducing and resuming over gRPC.

use super::{Grpc, reply};
use crate::access;
use futures::{StreamExt as _, stream::BoxStream};
use tonic::{Request, Response, Status, async_trait};
use tragen_contracts::v1::{self, risk_control_server::RiskControl};

#[async_trait]
impl RiskControl for Grpc {
    async fn get_risk_state(
        &self,
        request: Request<v1::GetRiskStateRequest>,
    ) -> Result<Response<v1::GetRiskStateResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.get_risk_state(&call, message).await };
        reply(api.serve(&access::GET_RISK_STATE, headers.as_ref(), work).await)
    }

    async fn halt(&self, request: Request<v1::HaltRequest>) -> Result<Response<v1::HaltResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.halt(&call, message).await };
        reply(api.serve(&access::HALT, headers.as_ref(), work).await)
    }

    async fn propose_resume(
        &self,
        request: Request<v1::ProposeResumeRequest>,
    ) -> Result<Response<v1::ProposeResumeResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.propose_resume(&call, message).await };
        reply(api.serve(&access::PROPOSE_RESUME, headers.as_ref(), work).await)
    }

    async fn confirm_resume(
        &self,
        request: Request<v1::ConfirmResumeRequest>,
    ) -> Result<Response<v1::ConfirmResumeResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.confirm_resume(&call, message).await };
        reply(api.serve(&access::CONFIRM_RESUME, headers.as_ref(), work).await)
    }

    async fn reduce_positions(
        &self,
        request: Request<v1::ReducePositionsRequest>,
    ) -> Result<Response<v1::ReducePositionsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.reduce_positions(&call, message).await };
        reply(api.serve(&access::REDUCE_POSITIONS, headers.as_ref(), work).await)
    }

    async fn flatten(&self, request: Request<v1::FlattenRequest>) -> Result<Response<v1::FlattenResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.flatten(&call, message).await };
        reply(api.serve(&access::FLATTEN, headers.as_ref(), work).await)
    }

    async fn shutdown_agent(
        &self,
        request: Request<v1::ShutdownAgentRequest>,
    ) -> Result<Response<v1::ShutdownAgentResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.shutdown_agent(&call, message).await };
        reply(api.serve(&access::SHUTDOWN_AGENT, headers.as_ref(), work).await)
    }

    async fn get_risk_history(
        &self,
        request: Request<v1::GetRiskHistoryRequest>,
    ) -> Result<Response<v1::GetRiskHistoryResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.get_risk_history(&call, message).await };
        reply(api.serve(&access::GET_RISK_HISTORY, headers.as_ref(), work).await)
    }

    async fn list_limits(
        &self,
        request: Request<v1::ListLimitsRequest>,
    ) -> Result<Response<v1::ListLimitsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.list_limits(&call, message).await };
        reply(api.serve(&access::LIST_LIMITS, headers.as_ref(), work).await)
    }

    async fn propose_limit(
        &self,
        request: Request<v1::ProposeLimitRequest>,
    ) -> Result<Response<v1::ProposeLimitResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.propose_limit(&call, message).await };
        reply(api.serve(&access::PROPOSE_LIMIT, headers.as_ref(), work).await)
    }

    async fn confirm_limit(
        &self,
        request: Request<v1::ConfirmLimitRequest>,
    ) -> Result<Response<v1::ConfirmLimitResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.confirm_limit(&call, message).await };
        reply(api.serve(&access::CONFIRM_LIMIT, headers.as_ref(), work).await)
    }

    async fn propose_reduction_end(
        &self,
        request: Request<v1::ProposeReductionEndRequest>,
    ) -> Result<Response<v1::ProposeReductionEndResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.propose_reduction_end(&call, message).await };
        reply(api.serve(&access::PROPOSE_REDUCTION_END, headers.as_ref(), work).await)
    }

    async fn confirm_reduction_end(
        &self,
        request: Request<v1::ConfirmReductionEndRequest>,
    ) -> Result<Response<v1::ConfirmReductionEndResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.confirm_reduction_end(&call, message).await };
        reply(api.serve(&access::CONFIRM_REDUCTION_END, headers.as_ref(), work).await)
    }

    type WatchRiskStream = BoxStream<'static, Result<v1::WatchRiskResponse, Status>>;

    async fn watch_risk(
        &self,
        request: Request<v1::WatchRiskRequest>,
    ) -> Result<Response<Self::WatchRiskStream>, Status> {
        let (headers, _, v1::WatchRiskRequest {}) = request.into_parts();
        let api = &self.api;
        let states = api.serve(&access::WATCH_RISK, headers.as_ref(), |call| api.watch_risk(call)).await;
        reply(states.map(|states| states.map(|state| state.map_err(|refusal| refusal.to_status())).boxed()))
    }
}
