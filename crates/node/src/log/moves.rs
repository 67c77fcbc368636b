//! Saying in the log what moves an account has made in games.

use assay_receipt::Statement;

use crate::chain::timeline::Timeline;
use crate::log::recorder::Recorder;

impl Recorder {
    /// Says those of a job's moves that are this account's, from the `told`th on; gives how many it
    /// has said by now.
    pub(crate) async fn say_moves(&self, timeline: &Timeline, told: usize) -> usize {
        let account = self.account();
        let own: Vec<_> = timeline.moves.iter().filter(|moved| moved.account == account).collect();
        for moved in own.iter().skip(told) {
            self.try_say(Statement::Moved((*moved).clone())).await;
        }
        own.len()
    }
}
