//! The gRPC transport: each method hands its message to the API layer.

mod risk;

use crate::{access, api::Api, refusal::Refusal};
use futures::{StreamExt as _, stream::BoxStream};
use std::sync::Arc;
use tonic::{Request, Response, Status, async_trait};
use tragen_contracts::v1::{
    self, accounts_server::Accounts, agents_server::Agents, costs_server::Costs, markets_server::Markets,
    operations_server::Operations, trading_server::Trading,
};

/// Serves every gRPC service of the API; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Grpc {
    pub(crate) api: Arc<Api>,
}

fn reply<A>(answer: Result<A, Refusal>) -> Result<Response<A>, Status> {
    answer.map(Response::new).map_err(|refusal| refusal.to_status())
}

#[async_trait]
impl Trading for Grpc {
    async fn place_trade(
        &self,
        request: Request<v1::PlaceTradeRequest>,
    ) -> Result<Response<v1::PlaceTradeResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(
                &access::PLACE_TRADE,
                headers.as_ref(),
                |call| async move { api.place_trade(&call, message).await },
            )
            .await,
        )
    }

    async fn get_trade(&self, request: Request<v1::GetTradeRequest>) -> Result<Response<v1::GetTradeResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::GET_TRADE, headers.as_ref(), |call| async move { api.get_trade(&call, message).await })
                .await,
        )
    }

    async fn list_trades(
        &self,
        request: Request<v1::ListTradesRequest>,
    ) -> Result<Response<v1::ListTradesResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(
                &access::LIST_TRADES,
                headers.as_ref(),
                |call| async move { api.list_trades(&call, message).await },
            )
            .await,
        )
    }

    async fn cancel_trade(
        &self,
        request: Request<v1::CancelTradeRequest>,
    ) -> Result<Response<v1::CancelTradeResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(
                &access::CANCEL_TRADE,
                headers.as_ref(),
                |call| async move { api.cancel_trade(&call, message).await },
            )
            .await,
        )
    }

    type WatchTradesStream = BoxStream<'static, Result<v1::WatchTradesResponse, Status>>;

    async fn watch_trades(
        &self,
        request: Request<v1::WatchTradesRequest>,
    ) -> Result<Response<Self::WatchTradesStream>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let watch = |call| async move { api.watch_trades(&call, message) };
        let changes = api.serve(&access::WATCH_TRADES, headers.as_ref(), watch).await;
        reply(changes.map(|changes| changes.map(|change| change.map_err(|refusal| refusal.to_status())).boxed()))
    }

    async fn analyze(&self, request: Request<v1::AnalyzeRequest>) -> Result<Response<v1::AnalyzeResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let work = |call| async move { api.analyze(&call, message).await };
        reply(api.serve(&access::ANALYZE, headers.as_ref(), work).await)
    }

    type WatchMarketStream = BoxStream<'static, Result<v1::WatchMarketResponse, Status>>;

    async fn watch_market(
        &self,
        request: Request<v1::WatchMarketRequest>,
    ) -> Result<Response<Self::WatchMarketStream>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        let watch = |call| async move { api.watch_market(call, message).await };
        let views = api.serve(&access::WATCH_MARKET, headers.as_ref(), watch).await;
        reply(views.map(|views| views.map(|view| view.map_err(|refusal| refusal.to_status())).boxed()))
    }
}

#[async_trait]
impl Accounts for Grpc {
    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(
                &access::GET_ACCOUNT,
                headers.as_ref(),
                |call| async move { api.get_account(&call, message).await },
            )
            .await,
        )
    }

    async fn list_positions(
        &self,
        request: Request<v1::ListPositionsRequest>,
    ) -> Result<Response<v1::ListPositionsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::LIST_POSITIONS, headers.as_ref(), |call| async move {
                api.list_positions(&call, message).await
            })
            .await,
        )
    }

    async fn list_transfers(
        &self,
        request: Request<v1::ListTransfersRequest>,
    ) -> Result<Response<v1::ListTransfersResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::LIST_TRANSFERS, headers.as_ref(), |call| async move {
                api.list_transfers(&call, message).await
            })
            .await,
        )
    }

    async fn deposit(&self, request: Request<v1::DepositRequest>) -> Result<Response<v1::DepositResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::DEPOSIT, headers.as_ref(), |call| async move { api.deposit(&call, message).await })
                .await,
        )
    }

    async fn withdraw(&self, request: Request<v1::WithdrawRequest>) -> Result<Response<v1::WithdrawResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::WITHDRAW, headers.as_ref(), |call| async move { api.withdraw(&call, message).await })
                .await,
        )
    }

    async fn send(&self, request: Request<v1::SendRequest>) -> Result<Response<v1::SendResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(api.serve(&access::SEND, headers.as_ref(), |call| async move { api.send(&call, message).await }).await)
    }

    async fn get_statement(
        &self,
        request: Request<v1::GetStatementRequest>,
    ) -> Result<Response<v1::GetStatementResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::GET_STATEMENT, headers.as_ref(), |call| async move {
                api.get_statement(&call, message).await
            })
            .await,
        )
    }
}

#[async_trait]
impl Markets for Grpc {
    async fn list_instruments(
        &self,
        request: Request<v1::ListInstrumentsRequest>,
    ) -> Result<Response<v1::ListInstrumentsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::LIST_INSTRUMENTS, headers.as_ref(), |call| async move {
                api.list_instruments(&call, message).await
            })
            .await,
        )
    }

    async fn get_quote(&self, request: Request<v1::GetQuoteRequest>) -> Result<Response<v1::GetQuoteResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::GET_QUOTE, headers.as_ref(), |call| async move { api.get_quote(&call, message).await })
                .await,
        )
    }

    async fn put_news(&self, request: Request<v1::PutNewsRequest>) -> Result<Response<v1::PutNewsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::PUT_NEWS, headers.as_ref(), |call| async move { api.put_news(&call, message).await })
                .await,
        )
    }
}

#[async_trait]
impl Agents for Grpc {
    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(
                &access::LIST_AGENTS,
                headers.as_ref(),
                |call| async move { api.list_agents(&call, message).await },
            )
            .await,
        )
    }

    async fn get_agent(&self, request: Request<v1::GetAgentRequest>) -> Result<Response<v1::GetAgentResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::GET_AGENT, headers.as_ref(), |call| async move { api.get_agent(&call, message).await })
                .await,
        )
    }

    async fn put_agent(&self, request: Request<v1::PutAgentRequest>) -> Result<Response<v1::PutAgentResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::PUT_AGENT, headers.as_ref(), |_call| async move { api.put_agent(message).await }).await,
        )
    }

    async fn list_pools(
        &self,
        request: Request<v1::ListPoolsRequest>,
    ) -> Result<Response<v1::ListPoolsResponse>, Status> {
        let (headers, _, v1::ListPoolsRequest {}) = request.into_parts();
        let api = &self.api;
        reply(api.serve(&access::LIST_POOLS, headers.as_ref(), |_call| api.list_pools()).await)
    }
}

#[async_trait]
impl Costs for Grpc {
    async fn get_costs(&self, request: Request<v1::GetCostsRequest>) -> Result<Response<v1::GetCostsResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::GET_COSTS, headers.as_ref(), |call| async move { api.get_costs(&call, message).await })
                .await,
        )
    }
}

#[async_trait]
impl Operations for Grpc {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::GetStatusResponse>, Status> {
        let (headers, _, _) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::GET_STATUS, headers.as_ref(), |call| async move { Ok(api.get_status(&call).await) })
                .await,
        )
    }

    async fn list_dead_letters(
        &self,
        request: Request<v1::ListDeadLettersRequest>,
    ) -> Result<Response<v1::ListDeadLettersResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::LIST_DEAD_LETTERS, headers.as_ref(), |call| async move {
                api.list_dead_letters(&call, message).await
            })
            .await,
        )
    }

    async fn replay_dead_letter(
        &self,
        request: Request<v1::ReplayDeadLetterRequest>,
    ) -> Result<Response<v1::ReplayDeadLetterResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::REPLAY_DEAD_LETTER, headers.as_ref(), |_call| async move {
                api.replay_dead_letter(message).await
            })
            .await,
        )
    }

    async fn propose_booking(
        &self,
        request: Request<v1::ProposeBookingRequest>,
    ) -> Result<Response<v1::ProposeBookingResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::PROPOSE_BOOKING, headers.as_ref(), |call| async move {
                api.propose_booking(&call, message).await
            })
            .await,
        )
    }

    async fn confirm_booking(
        &self,
        request: Request<v1::ConfirmBookingRequest>,
    ) -> Result<Response<v1::ConfirmBookingResponse>, Status> {
        let (headers, _, message) = request.into_parts();
        let api = &self.api;
        reply(
            api.serve(&access::CONFIRM_BOOKING, headers.as_ref(), |call| async move {
                api.confirm_booking(&call, message).await
            })
            .await,
        )
    }
}
