#[test]
fn every_number_survives_being_written_and_read() {
    for number in 1..4000 {
        let text = roman::write(number).unwrap();
        assert_eq!(roman::read(&text), Some(number), "{text}");
    }
}

#[test]
fn nonsense_is_refused() {
    for text in ["", "ABC", "IIX", "iv", "VX", "IM"] {
        assert_eq!(roman::read(text), None, "{text}");
    }
}

#[test]
#[ignore = "walks through every text of up to seven digits"]
fn no_other_text_is_accepted() {
    let mut accepted = 0;
    let mut texts = vec![String::new()];
    for _ in 0..7 {
        texts = texts
            .iter()
            .flat_map(|text| "IVXLCDM".chars().map(move |digit| format!("{text}{digit}")))
            .collect();
        accepted += texts.iter().filter(|text| roman::read(text).is_some()).count();
    }
    let written = (1..4000).filter(|number| roman::write(*number).unwrap().len() <= 7).count();
    assert_eq!(accepted, written);
}
