//! Which kind an order asks for.

use assay_contracts::DisputeTerms;

use crate::Assurance;
use crate::window::Window;

/// The kinds that this version knows, by their numbers in a market's registry of verifiers.
#[derive(Clone, Debug)]
pub struct Assurances {
    kinds: Vec<(u16, Kind)>,
}

/// A kind of assurance on a market. One is added with its folder, a variant here and a row in
/// [`Assurances::new`].
#[derive(Clone, Debug)]
pub enum Kind {
    /// A claim is final once nobody has shown a false step in time.
    Window(Window),
}

impl Assurances {
    /// The table of a market: the number of its fraud-proof window, and how that is paced.
    pub fn new(window: u16, terms: &DisputeTerms) -> Self {
        Assurances { kinds: vec![(window, Kind::Window(Window::new(terms)))] }
    }

    /// The kind of a verifier's number; `None` if this version does not know it.
    pub fn kind(&self, verifier: u16) -> Option<&Kind> {
        self.kinds.iter().find(|(number, _)| *number == verifier).map(|(_, kind)| kind)
    }
}

impl Kind {
    /// What every kind answers.
    pub fn assurance(&self) -> &dyn Assurance {
        match self {
            Kind::Window(window) => window,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_number_is_no_kind() {
        let table = Assurances::new(3, &DisputeTerms::LOCAL);
        assert_eq!(table.kind(3).map(|kind| kind.assurance().name()), Some("window"));
        assert!(table.kind(1).is_none(), "a stranger's verifier is taken for the window");
    }
}
