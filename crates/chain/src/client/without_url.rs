//! Errors without the endpoint's URL, which may hold a secret. Taken out where reqwest puts it in,
//! below the layer that retries, which turns errors into text.

use std::task::{Context, Poll};

use alloy_json_rpc::{RequestPacket, ResponsePacket, RpcError};
use alloy_transport::{TransportError, TransportErrorKind, TransportFut};
use tower::{Layer, Service};

/// Makes [`WithoutUrl`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct WithoutUrlLayer;

impl<S> Layer<S> for WithoutUrlLayer {
    type Service = WithoutUrl<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WithoutUrl(inner)
    }
}

/// A transport whose errors do not name its URL.
#[derive(Clone, Debug)]
pub(crate) struct WithoutUrl<S>(S);

impl<S> Service<RequestPacket> for WithoutUrl<S>
where
    S: Service<
            RequestPacket,
            Response = ResponsePacket,
            Error = TransportError,
            Future = TransportFut<'static>,
        >,
{
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move { answer.await.map_err(without_url) })
    }
}

fn without_url(error: TransportError) -> TransportError {
    let RpcError::Transport(TransportErrorKind::Custom(cause)) = error else { return error };
    let cause = match cause.downcast::<reqwest::Error>() {
        Ok(cause) => Box::new(cause.without_url()),
        Err(other) => other,
    };
    RpcError::Transport(TransportErrorKind::Custom(cause))
}
