//! Orders.

use alloy_primitives::B256;
use assay_contracts::Deployment;
use assay_protocol::{OrderEntry, OrdersPage, Posted, ProblemKind, SignedOrder};
use reqwest::Method;

use super::BrokerClient;
use super::entries::check_ascending;
use crate::error::{Error, Result};

impl BrokerClient {
    /// Puts an order into the book; true if it is new there.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn post_order(&self, order: &SignedOrder) -> Result<(Posted, bool)> {
        let job_id = order.job_id(&self.deployment);
        self.write(Method::POST, "/v1/orders", order, |put: &Posted| put.job_id == job_id).await
    }

    /// Orders with a higher sequence, ascending, at most `limit` (1 to 500) of them.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for an order that its requester did not sign, and as every call.
    pub async fn orders_after(&self, after: u64, limit: u64) -> Result<OrdersPage> {
        let path = format!("/v1/orders?after={after}&limit={limit}");
        let page: OrdersPage = self.read(&path).await?;
        check_ascending(after, page.orders.iter().map(|order| order.sequence))?;
        self.checked(page, |page, deployment| {
            page.orders.iter().try_for_each(|order| check_order(order, deployment))
        })
        .await
    }

    /// An order by its job id; `None` if the book has none.
    ///
    /// # Errors
    ///
    /// [`Error::BadAnswer`] for another order, and as every call.
    pub async fn order(&self, job_id: B256) -> Result<Option<OrderEntry>> {
        let path = format!("/v1/orders/{job_id}");
        self.find(&path, ProblemKind::OrderUnknown, move |order: &OrderEntry, deployment| {
            if order.job_id != job_id {
                return Err(Error::bad_answer("it is another order"));
            }
            check_order(order, deployment)
        })
        .await
    }
}

pub(super) fn check_order(order: &OrderEntry, deployment: &Deployment) -> Result<()> {
    if order.signed().verify(deployment)? == order.job_id {
        Ok(())
    } else {
        Err(Error::bad_answer("an order has another job id"))
    }
}
