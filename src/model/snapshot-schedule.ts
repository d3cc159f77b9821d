// When snapshots are made by themselves. All times are UTC.

export type SnapshotFrequency = 'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly'

export type SnapshotScheduleItem = {
  frequency: SnapshotFrequency
  hour?: number | undefined
  /** Of the week (1 is Monday) or of the month; a month that is shorter has it on its last day. */
  day?: number | undefined
  month?: number | undefined
  retentionSeconds?: number | undefined
}

export const longestRetentionSeconds = 35 * 86_400

/** The last moment at or before `now` at which an item was due. Pure. */
export function lastDue(item: SnapshotScheduleItem, now: Date): Date {
  const due = new Date(now)
  due.setUTCMinutes(0, 0, 0)
  if (item.frequency === 'hourly') return due
  due.setUTCHours(item.hour ?? 0)
  switch (item.frequency) {
    case 'daily':
      if (due > now) due.setUTCDate(due.getUTCDate() - 1)
      return due
    case 'weekly': {
      const weekday = due.getUTCDay() === 0 ? 7 : due.getUTCDay()
      due.setUTCDate(due.getUTCDate() - ((weekday - (item.day ?? 1) + 7) % 7))
      if (due > now) due.setUTCDate(due.getUTCDate() - 7)
      return due
    }
    case 'monthly': {
      const inMonth = (year: number, month: number): Date => onDay(year, month, item.day ?? 1, item.hour ?? 0)
      const here = inMonth(now.getUTCFullYear(), now.getUTCMonth())
      return here > now ? inMonth(now.getUTCFullYear(), now.getUTCMonth() - 1) : here
    }
    case 'yearly': {
      const inYear = (year: number): Date => onDay(year, (item.month ?? 1) - 1, item.day ?? 1, item.hour ?? 0)
      const here = inYear(now.getUTCFullYear())
      return here > now ? inYear(now.getUTCFullYear() - 1) : here
    }
  }
}

function onDay(year: number, month: number, day: number, hour: number): Date {
  const last = new Date(Date.UTC(year, month + 1, 0)).getUTCDate()
  return new Date(Date.UTC(year, month, Math.min(day, last), hour))
}
